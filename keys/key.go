package keys

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // Google's certificates are signed so
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// Bits is the size of every RSA key by default, as of Google's signing keys.
const Bits = 2048

const (
	privateKeyBlock  = "PRIVATE KEY"
	certificateBlock = "CERTIFICATE"
	publicKeyBlock   = "PUBLIC KEY"
)

// Key is an RSA key pair with its self-signed certificate. It is immutable.
type Key struct {
	Certified

	private private
}

// newKey certifies an RSA private key for a use, valid from notBefore.
func newKey(private private, use purpose, notBefore time.Time) (*Key, error) {
	usage, err := clientAuthUsage()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serialNumber(),
		Subject:               pkix.Name{CommonName: use.commonName},
		NotBefore:             notBefore.UTC().Truncate(time.Second),
		NotAfter:              use.notAfter(notBefore.UTC().Truncate(time.Second)),
		SignatureAlgorithm:    x509.SHA1WithRSA,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtraExtensions:       []pkix.Extension{usage},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.public, private.signer)
	if err != nil {
		return nil, fmt.Errorf("certify a key for %q: %w", use.commonName, err)
	}
	return assemble(private, der)
}

// clientAuthUsage returns the critical extended key usage of Google's certificates.
// x509.Certificate cannot mark an extended key usage as critical.
func clientAuthUsage() (pkix.Extension, error) {
	value, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 2}})
	if err != nil {
		return pkix.Extension{}, fmt.Errorf("encode the extended key usage: %w", err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: value}, nil
}

func assemble(private private, der []byte) (*Key, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse the certificate: %w", err)
	}
	if !private.public.Equal(cert.PublicKey) {
		return nil, errors.New("the certificate belongs to another private key")
	}
	return &Key{Certified: certified(private.public, cert), private: private}, nil
}

// Signer returns the private half. It signs with RSASSA-PKCS1-v1_5, and can be a signer that the
// program has plugged in: see [Ring.SignWith] and [NewRingOf].
func (k *Key) Signer() crypto.Signer { return k.private.signer }

// PrivateKey returns the private half as a PKCS #8 PEM block with a final newline, the form in
// a service account key file.
func (k *Key) PrivateKey() (string, error) {
	if k.private.plain == nil {
		return "", errors.New("the private key cannot leave its signer")
	}
	der, err := x509.MarshalPKCS8PrivateKey(k.private.plain)
	if err != nil {
		return "", fmt.Errorf("encode the private key: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: privateKeyBlock, Bytes: der})), nil
}

// encode returns the content of the key's file: the certificate, then the private key.
func (k *Key) encode() ([]byte, error) {
	private, err := k.PrivateKey()
	if err != nil {
		return nil, err
	}
	return []byte(k.Certificate() + private), nil
}

// decode reads the output of encode.
func (p *pool) decode(data []byte) (*Key, error) {
	der, private, err := decodePair(data)
	if err != nil {
		return nil, err
	}
	key, ok := private.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("its private key is not an RSA key")
	}
	bound, err := p.bound(key)
	if err != nil {
		return nil, err
	}
	return assemble(bound, der)
}

// pairForm returns the form of the files of a use's keys.
func pairForm(use purpose, pool *pool) form[*Key] {
	return form[*Key]{decode: pool.decode, encode: (*Key).encode, verify: func(k *Key) error { return k.verify(use) }}
}

// verify checks that the key's certificate is signed with the key, and made for a use. Package x509
// refuses to check signatures with SHA-1.
func (k *Key) verify(use purpose) error {
	cert, err := x509.ParseCertificate(k.certificate())
	if err != nil {
		return fmt.Errorf("parse the certificate: %w", err)
	}
	sum := sha1.Sum(cert.RawTBSCertificate) //nolint:gosec // as Google's certificates
	if rsa.VerifyPKCS1v15(k.public, crypto.SHA1, sum[:], cert.Signature) != nil {
		return errForged
	}
	if name := cert.Subject.CommonName; !use.handedOut && name != use.commonName {
		return fmt.Errorf("it is the key of %q, not of %q", name, use.commonName)
	}
	return nil
}

// encodePair returns a certificate and its private key in PEM, as decodePair reads them.
func encodePair(der []byte, key any) ([]byte, error) {
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode a private key: %w", err)
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: privateKeyBlock, Bytes: private})...), nil
}

// decodePair reads a certificate and its private key from PEM data.
func decodePair(data []byte) (der []byte, private any, err error) {
	blocks := map[string][]byte{}
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			if len(bytes.TrimSpace(rest)) > 0 {
				return nil, nil, errors.New("it is truncated, or is not PEM")
			}
			break
		}
		blocks[block.Type] = block.Bytes
	}
	if blocks[certificateBlock] == nil || blocks[privateKeyBlock] == nil {
		return nil, nil, errors.New("it is truncated: a certificate and a private key are expected")
	}
	private, err = x509.ParsePKCS8PrivateKey(blocks[privateKeyBlock])
	if err != nil {
		return nil, nil, errors.New("its private key is damaged")
	}
	return blocks[certificateBlock], private, nil
}
