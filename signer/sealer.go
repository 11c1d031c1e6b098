package signer

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Sealer makes self-contained opaque tokens: JSON under authenticated encryption with a secret.
// Only a holder of the secret can read, make or change a token, so the emulator stores nothing
// per token.
type Sealer struct {
	prefix string
	aead   cipher.AEAD
}

// ErrNotSealed reports a text that is not a token of this sealer.
var ErrNotSealed = errors.New("not a token made with this secret")

// NewSealer returns a sealer for one kind of token. The prefix names the kind and is part of
// the key, so replacing a token's prefix does not turn it into another kind.
func NewSealer(secret []byte, prefix string) (*Sealer, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, prefix, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive a token key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("derive a token key: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("derive a token key: %w", err)
	}
	return &Sealer{prefix: prefix, aead: aead}, nil
}

// Seal makes a token from content, which encoding/json must be able to encode.
func (s *Sealer) Seal(content any) (string, error) {
	data, err := json.Marshal(content)
	if err != nil {
		return "", fmt.Errorf("encode a token: %w", err)
	}
	return s.prefix + base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, data, nil)), nil
}

// Open decodes a token from Seal into the value at into. The error is always ErrNotSealed.
func (s *Sealer) Open(token string, into any) error {
	encoded, ok := strings.CutPrefix(token, s.prefix)
	if !ok {
		return ErrNotSealed
	}
	sealed, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return ErrNotSealed
	}
	data, err := s.aead.Open(nil, nil, sealed, nil)
	if err != nil || json.Unmarshal(data, into) != nil {
		return ErrNotSealed
	}
	return nil
}
