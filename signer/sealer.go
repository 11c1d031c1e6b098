package signer

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// Sealer makes opaque tokens: any bytes under authenticated encryption with a secret. Only a holder of the secret can read, make or change a token, so the emulator stores nothing
// per token.
type Sealer struct {
	prefix string
	aead   cipher.AEAD
}

// errNotSealed reports a text that is not a token of this sealer.
var errNotSealed = errors.New("not a token made with this secret")

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
	aead, err := cipher.NewGCM(block) // NewGCMWithRandomNonce refuses the cipher of BoringCrypto
	if err != nil {
		return nil, fmt.Errorf("derive a token key: %w", err)
	}
	return &Sealer{prefix: prefix, aead: aead}, nil
}

// Seal makes a token from content. It adds 28 bytes before it encodes the token in base64.
func (s *Sealer) Seal(content []byte) string {
	nonce := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(content)+s.aead.Overhead())
	_, _ = rand.Read(nonce) // never fails: crypto/rand ends the process instead
	return s.prefix + base64.RawURLEncoding.EncodeToString(s.aead.Seal(nonce, nonce, content, nil))
}

// Open returns the content of a token from Seal. The error is always errNotSealed. It accepts only the
// exact text of Seal, because a revoked token must not be valid in another spelling: base64 may have
// meaningless bits, and its decoder skips line breaks.
func (s *Sealer) Open(token string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(token, s.prefix)
	if !ok {
		return nil, errNotSealed
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	size := s.aead.NonceSize()
	if err != nil || strings.ContainsAny(encoded, "\r\n") || len(sealed) < size {
		return nil, errNotSealed
	}
	content, err := s.aead.Open(nil, sealed[:size], sealed[size:], nil)
	if err != nil {
		return nil, errNotSealed
	}
	return content, nil
}
