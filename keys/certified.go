package keys

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // a key ID is the SHA-1 of a certificate, as Google's are: a name, not a protection
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"sync"
	"time"
)

// Certified is the public half of an RSA key, with its certificate. It is immutable.
type Certified struct {
	id                  string
	public              *rsa.PublicKey
	notBefore, notAfter time.Time
	certificate         func() []byte // DER
	bare                bool          // the key came without a certificate
}

func certified(public *rsa.PublicKey, cert *x509.Certificate) Certified {
	return Certified{
		id: fingerprint(cert.Raw), public: public, notBefore: cert.NotBefore, notAfter: cert.NotAfter,
		certificate: func() []byte { return cert.Raw },
	}
}

func fingerprint(der []byte) string {
	sum := sha1.Sum(der) //nolint:gosec // see the import
	return hex.EncodeToString(sum[:])
}

// ID returns the key's ID, the "kid" of a JOSE header: 40 lower-case hexadecimal digits. It is
// the SHA-1 of the certificate, or of the public key if the key came without a certificate.
func (c *Certified) ID() string { return c.id }

// Public returns the public half. The caller must not change it.
func (c *Certified) Public() *rsa.PublicKey { return c.public }

// NotBefore returns the start of the certificate's validity.
func (c *Certified) NotBefore() time.Time { return c.notBefore }

// NotAfter returns the end of the certificate's validity.
func (c *Certified) NotAfter() time.Time { return c.notAfter }

// Certificate returns the X.509 certificate in PEM, with a final newline.
func (c *Certified) Certificate() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: c.certificate()}))
}

// PublicKey returns the public half as a PKIX PEM block, with a final newline.
func (c *Certified) PublicKey() string {
	der, _ := x509.MarshalPKIXPublicKey(c.public) // never fails for an RSA key
	return string(pem.EncodeToMemory(&pem.Block{Type: publicKeyBlock, Bytes: der}))
}

// PEM returns the text from which [ParsePublic] makes the same key, with a final newline: the
// certificate, or the bare key if it came without a certificate.
func (c *Certified) PEM() string {
	if c.bare {
		return c.PublicKey()
	}
	return c.Certificate()
}

// JWK is a public RSA signing key as a JSON web key (RFC 7517). It has all members needed by
// Google's verifiers.
type JWK struct {
	Algorithm string `json:"alg"`
	Exponent  string `json:"e"`
	ID        string `json:"kid"`
	Type      string `json:"kty"`
	Modulus   string `json:"n"`
	Use       string `json:"use"`
}

// JWK returns the public half as a JSON web key.
func (c *Certified) JWK() JWK {
	return JWK{
		Algorithm: "RS256",
		Exponent:  base64.RawURLEncoding.EncodeToString(big.NewInt(int64(c.public.E)).Bytes()),
		ID:        c.id,
		Type:      "RSA",
		Modulus:   base64.RawURLEncoding.EncodeToString(c.public.N.Bytes()),
		Use:       "sig",
	}
}

// Errors of [ParsePublic]. Each text names the content found instead of one public RSA key.
var (
	ErrPrivateKey = errors.New("a private key instead of a public key")
	errNotRSA     = errors.New("a key that is not RSA")
	errShort      = errors.New("a key shorter than 1024 bits")
	errSeveral    = errors.New("more than one public key")
	ErrNoKey      = errors.New("no public key")
	ErrBroken     = errors.New("a public key that cannot be read")
)

// ParsePublic reads the only public key in PEM data, bare or in a certificate. The error is one
// of the Err values above.
func ParsePublic(data []byte) (*Certified, error) {
	var found *Certified
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if strings.HasSuffix(block.Type, privateKeyBlock) {
			return nil, ErrPrivateKey
		}
		key, err := parsePublicBlock(block)
		if err != nil {
			return nil, err
		}
		if found != nil {
			return nil, errSeveral
		}
		found = key
	}
	if found == nil {
		return nil, ErrNoKey
	}
	return found, nil
}

func parsePublicBlock(block *pem.Block) (*Certified, error) {
	var key any
	var cert *x509.Certificate
	var err error
	switch block.Type {
	case publicKeyBlock:
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case certificateBlock:
		if cert, err = x509.ParseCertificate(block.Bytes); err == nil {
			key = cert.PublicKey
		}
	default:
		return nil, ErrNoKey
	}
	if err != nil {
		return nil, ErrBroken
	}
	public, ok := key.(*rsa.PublicKey)
	const leastBytes = 1024 / 8
	switch {
	case !ok:
		return nil, errNotRSA
	case public.Size() < leastBytes:
		return nil, errShort
	case cert != nil:
		return new(certified(public, cert)), nil
	default:
		return bare(public), nil
	}
}

// bare returns a key that came without a certificate. It makes a certificate on first use, valid
// from 1970 to 9999, and signs it with a throw-away key. Verifiers never check this signature: in
// Google's lists of published keys, a certificate only wraps the key.
func bare(public *rsa.PublicKey) *Certified {
	der, _ := x509.MarshalPKIXPublicKey(public) // never fails for an RSA key
	key := &Certified{id: fingerprint(der), public: public, notBefore: time.Unix(0, 0).UTC(), notAfter: endOfTime(), bare: true}
	key.certificate = sync.OnceValue(func() []byte {
		issuer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil // never: crypto/rand ends the process instead
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1),
			Subject:      pkix.Name{CommonName: key.id},
			NotBefore:    key.notBefore,
			NotAfter:     key.notAfter,
			KeyUsage:     x509.KeyUsageDigitalSignature,
		}
		cert, _ := x509.CreateCertificate(rand.Reader, template, template, public, issuer) // the template is valid
		return cert
	})
	return key
}
