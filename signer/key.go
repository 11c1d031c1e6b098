package signer

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/golang-jwt/jwt/v5"

	"gcp-metadata-emulator/keys"
)

// Key signs JWTs with one algorithm.
type Key struct {
	id      string
	public  crypto.PublicKey
	method  jwt.SigningMethod
	private any
}

// RSA returns a key that signs with RS256.
func RSA(key *keys.Key) Key {
	return Key{id: key.ID(), public: key.Public(), method: jwt.SigningMethodRS256, private: key.Signer()}
}

// Private returns a key of another emulator, or of Google, that signs with RS256.
func Private(id string, key *rsa.PrivateKey) Key {
	return Key{id: id, public: key.Public(), method: jwt.SigningMethodRS256, private: key}
}

// EC returns a key that signs with ES256.
func EC(key *keys.ECKey) Key {
	return Key{id: key.ID(), public: key.Public(), method: jwt.SigningMethodES256, private: key.Private()}
}

// Secret returns a key that signs with HS256.
func Secret(id string, secret []byte) Key {
	return Key{id: id, method: jwt.SigningMethodHS256, private: secret}
}

// ID returns the key ID.
func (k Key) ID() string { return k.id }

// Public returns the public key, or nil for a secret.
func (k Key) Public() crypto.PublicKey { return k.public }

// Header returns the header of the key's JWTs, which has Google's fields: alg, kid, typ.
func (k Key) Header() []byte {
	return []byte(`{"alg":"` + k.method.Alg() + `","kid":"` + k.id + `","typ":"JWT"}`)
}

// JWT signs claims, which encoding/json must be able to encode, and returns the token in compact
// form (RFC 7519). It keeps a json.RawMessage byte for byte.
func (k Key) JWT(claims any) (string, error) {
	if raw, ok := claims.(json.RawMessage); ok {
		return k.Raw(k.Header(), raw)
	}
	var payload bytes.Buffer
	encoder := json.NewEncoder(&payload)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(claims); err != nil {
		return "", fmt.Errorf("encode the claims: %w", err)
	}
	return k.Raw(k.Header(), bytes.TrimSuffix(payload.Bytes(), []byte("\n")))
}

// Raw signs the exact bytes of a header and a payload.
func (k Key) Raw(header, payload []byte) (string, error) {
	input := make([]byte, 0, len(header)*4/3+len(payload)*4/3+8) //nolint:mnd // base64 makes four letters of three bytes
	input = base64.RawURLEncoding.AppendEncode(input, header)
	input = base64.RawURLEncoding.AppendEncode(append(input, '.'), payload)
	signature, err := k.sign(input)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return string(base64.RawURLEncoding.AppendEncode(append(input, '.'), signature)), nil
}

// sign signs a text. Package jwt takes no RSA key but Go's own, and a program can have plugged in another.
func (k Key) sign(text []byte) ([]byte, error) {
	if k.method == jwt.SigningMethodRS256 {
		return rs256(k.private.(crypto.Signer), text)
	}
	return k.method.Sign(string(text), k.private)
}

// rs256 signs with RSASSA-PKCS1-v1_5 and SHA-256 (RFC 7518, section 3.3).
func rs256(key crypto.Signer, text []byte) ([]byte, error) {
	digest := sha256.Sum256(text)
	return key.Sign(rand.Reader, digest[:], crypto.SHA256)
}

// JWT signs claims with RS256; see [Key.JWT].
func JWT(key *keys.Key, claims any) (string, error) { return RSA(key).JWT(claims) }
