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

// Sealer makes opaque tokens that carry their own content: JSON under authenticated
// encryption with a secret. Whoever holds the secret can read a token and nobody else can
// make or change one, so that nothing has to be stored for each.
type Sealer struct {
	prefix string
	aead   cipher.AEAD
}

// ErrNotSealed says that a text is no token of this sealer.
var ErrNotSealed = errors.New("not a token made with this secret")

// NewSealer makes a sealer for one kind of token, which its prefix names: a token of one
// kind is never taken for one of another, whatever prefix is put before it.
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

// Seal makes a token of a value that encoding/json can write.
func (s *Sealer) Seal(content any) (string, error) {
	data, err := json.Marshal(content)
	if err != nil {
		return "", fmt.Errorf("encode a token: %w", err)
	}
	return s.prefix + base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, data, nil)), nil
}

// Open reads a token that Seal made. The error is always ErrNotSealed.
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
