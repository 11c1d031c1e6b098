package keys

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
)

// ECKey is a P-256 key pair, as used by Identity-Aware Proxy. It is immutable.
type ECKey struct {
	id      string
	private *ecdsa.PrivateKey
	public  []byte // PKIX, DER
}

func newECKey(private *ecdsa.PrivateKey) (*ECKey, error) {
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		return nil, fmt.Errorf("encode the public key: %w", err)
	}
	sum := sha256.Sum256(public)
	const idBytes = 4 // Google's IDs of such keys have six characters
	return &ECKey{id: base64.RawURLEncoding.EncodeToString(sum[:idBytes]), private: private, public: public}, nil
}

// ID returns the key's ID, the "kid" of a JOSE header.
func (k *ECKey) ID() string { return k.id }

// Private returns the private half. The caller must not change it.
func (k *ECKey) Private() *ecdsa.PrivateKey { return k.private }

// Public returns the public half. The caller must not change it.
func (k *ECKey) Public() *ecdsa.PublicKey { return &k.private.PublicKey }

// PublicKey returns the public half as a PKIX PEM block, with a final newline.
func (k *ECKey) PublicKey() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: publicKeyBlock, Bytes: k.public}))
}

// ECJWK is a public P-256 signing key as a JSON web key (RFC 7517).
type ECJWK struct {
	Algorithm string `json:"alg"`
	Curve     string `json:"crv"`
	ID        string `json:"kid"`
	Type      string `json:"kty"`
	Use       string `json:"use"`
	X         string `json:"x"`
	Y         string `json:"y"`
}

// JWK returns the public half as a JSON web key.
func (k *ECKey) JWK() ECJWK {
	point, _ := k.private.PublicKey.Bytes() // never fails: the key is on its curve
	coordinates := point[1:]                // after the marker of an uncompressed point (SEC 1, section 2.3.3)
	half := len(coordinates) / 2
	return ECJWK{
		Algorithm: "ES256", Curve: "P-256", ID: k.id, Type: "EC", Use: "sig",
		X: base64.RawURLEncoding.EncodeToString(coordinates[:half]),
		Y: base64.RawURLEncoding.EncodeToString(coordinates[half:]),
	}
}

// IAP returns the signing key of Identity-Aware Proxy's assertions. The first call loads the
// key, or creates it at once.
func (r *Ring) IAP() (*ECKey, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.iap != nil {
		return r.iap, nil
	}
	key, err := r.loadIAP()
	if err == nil {
		r.iap = key
	}
	return key, err
}

func (r *Ring) loadIAP() (*ECKey, error) {
	const name = "keys/iap.pem"
	key, err := loadOrCreate(r.vault, name, form[*ECKey]{decode: decodeECKey, encode: encodeECKey}, freshECKey)
	if err != nil {
		return nil, err
	}
	data, err := encodeECKey(key)
	r.remember(name, data)
	return key, err
}

func freshECKey() ([]byte, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a P-256 key: %w", err)
	}
	return encodeECKey(&ECKey{private: private})
}

func encodeECKey(key *ECKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key.private)
	if err != nil {
		return nil, fmt.Errorf("encode a P-256 key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: privateKeyBlock, Bytes: der}), nil
}

func decodeECKey(data []byte) (*ECKey, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("it is truncated, or is not PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("its private key is damaged")
	}
	private, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || private.Curve != elliptic.P256() {
		return nil, errors.New("its private key is not a P-256 key")
	}
	return newECKey(private)
}
