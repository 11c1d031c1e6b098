package keys

import (
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"time"
)

// private is the private half of an RSA key.
type private struct {
	public *rsa.PublicKey
	signer crypto.Signer
	plain  *rsa.PrivateKey // nil: the private half cannot leave its signer
}

// Bind returns a signer for a private key that replaces Go's own cryptography, such as a key object
// of OpenSSL, or of a PKCS #11 token after Bind has loaded the key into it. The signer must sign a
// digest of SHA-256 or SHA-1 with RSASSA-PKCS1-v1_5, and must be safe for concurrent use.
type Bind func(key *rsa.PrivateKey) (crypto.Signer, error)

// SignWith makes every RSA key of the ring sign by the signer that bind returns for it, whether the
// ring generates the key or loads it from disk. Files and key IDs stay the same. Call it before
// the ring is used.
func (r *Ring) SignWith(bind Bind) { r.pool.bind, r.users.bind = bind, bind }

// NewRingOf returns a ring with keys that never leave their signers, such as keys in a PKCS #11
// token. The ring calls generate for each RSA-2048 key of Google's systems. It keeps the
// certificates in memory, so a later ring has other key IDs. Go makes the keys of service account
// key files, because their holders must know them.
func NewRingOf(generate func() (crypto.Signer, error), now func() time.Time) *Ring {
	pool := newPool()
	pool.isForeign = true
	pool.generate = func() (private, error) {
		signer, err := generate()
		if err != nil {
			return private{}, fmt.Errorf("generate a key: %w", err)
		}
		return foreign(signer)
	}
	r := newRing(memory{}, pool, now)
	r.users = newPool()
	return r
}

// foreign returns the private half that a signer holds.
func foreign(signer crypto.Signer) (private, error) {
	public, ok := signer.Public().(*rsa.PublicKey)
	if !ok {
		return private{}, fmt.Errorf("the signer has a public key of type %T instead of *rsa.PublicKey", signer.Public())
	}
	return private{public: public, signer: signer}, nil
}

// bound returns a private half with the signer of p.bind.
func (p *pool) bound(key *rsa.PrivateKey) (private, error) {
	if p.bind == nil {
		return private{public: &key.PublicKey, signer: key, plain: key}, nil
	}
	signer, err := p.bind(key)
	if err != nil {
		return private{}, fmt.Errorf("bind a key to its signer: %w", err)
	}
	bound, err := foreign(signer)
	if err == nil && !key.PublicKey.Equal(bound.public) {
		err = errors.New("the signer of a key has another public key")
	}
	bound.plain = key
	return bound, err
}
