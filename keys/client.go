package keys

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
)

// Client is a certificate, with its key, for a client of an emulator. Only the emulator that made it
// accepts it: the authority did not issue it, because the authority certifies servers only.
type Client struct {
	cert *x509.Certificate
	file []byte
}

// NewClient makes a certificate for clients.
func NewClient() (*Client, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the key of a client: %w", err)
	}
	now := machineTime()
	template := &x509.Certificate{
		SerialNumber: serialNumber(),
		Subject:      pkix.Name{Organization: []string{organization}, CommonName: organization + " client"},
		NotBefore:    now.Add(-around),
		NotAfter:     now.Add(around),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},

		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("certify the key of a client: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse the certificate of a client: %w", err)
	}
	file, err := encodePair(der, key)
	return &Client{cert: cert, file: file}, err
}

// File returns the certificate and its key in PEM.
func (c *Client) File() []byte { return c.file }

// Pool returns a pool that a server verifies the certificate with, and no other.
func (c *Client) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c.cert)
	return pool
}
