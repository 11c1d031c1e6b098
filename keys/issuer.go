package keys

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
)

// An authority has two certificates. Clients trust the root. The root has signed one other certificate,
// the issuer's, and its key is gone. The ring keeps the issuer's key, which signs the certificates of
// servers. Java's verifier ignores the constraints of a root, but obeys the issuer's.

// newIssuer makes a root and an issuer for the given names, and returns the authority's PEM file: the
// root, the issuer's certificate, then the issuer's private key.
func newIssuer(names permitted) ([]byte, error) {
	rootKey, root, err := newRoot(names)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the key of the certificate authority: %w", err)
	}
	constraints, err := narrow(names)
	if err != nil {
		return nil, err
	}
	template := authorityTemplate(" local issuer")
	template.MaxPathLenZero = true
	template.ExtraExtensions = []pkix.Extension{constraints}
	der, err := x509.CreateCertificate(rand.Reader, template, root, key.Public(), rootKey)
	if err != nil {
		return nil, fmt.Errorf("certify the issuer of the certificate authority: %w", err)
	}
	issuer, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse the issuer's certificate: %w", err)
	}
	return encodeIssuer(root, issuer, key)
}

// encodeIssuer returns the content from which parseIssuer reads the same.
func encodeIssuer(root, issuer *x509.Certificate, key *ecdsa.PrivateKey) ([]byte, error) {
	pair, err := encodePair(issuer.Raw, key)
	if err != nil || issuer.Equal(root) {
		return pair, err
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: root.Raw}), pair...), nil
}

// newRoot makes a root, and the key that signs the issuer's certificate and is not kept.
func newRoot(names permitted) (*ecdsa.PrivateKey, *x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make the key of the certificate authority: %w", err)
	}
	template := authorityTemplate(" local CA")
	template.MaxPathLen = 1
	constrain(template, names)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, fmt.Errorf("certify the certificate authority: %w", err)
	}
	root, err := x509.ParseCertificate(der)
	return key, root, err
}

func authorityTemplate(name string) *x509.Certificate {
	now := machineTime()
	return &x509.Certificate{
		SerialNumber: serialNumber(),
		Subject:      pkix.Name{Organization: []string{organization}, CommonName: organization + name},
		NotBefore:    now.Add(-around),
		NotAfter:     now.Add(authorityLifetime),
		KeyUsage:     x509.KeyUsageCertSign,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},

		BasicConstraintsValid: true,
		IsCA:                  true,
	}
}

// parseIssuer reads the root, the issuer's certificate and the issuer's key from the file of an
// authority. In a file of an earlier version, the root is the issuer.
func parseIssuer(data []byte) (root, issuer *x509.Certificate, private any, err error) {
	der, private, err := decodePair(data)
	if err != nil {
		return nil, nil, nil, err
	}
	first, _ := pem.Decode(data)
	root, err = x509.ParseCertificate(first.Bytes)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("parse the certificate: %w", err)
	}
	if issuer, err = x509.ParseCertificate(der); err != nil {
		return nil, nil, nil, fmt.Errorf("parse the issuer's certificate: %w", err)
	}
	return root, issuer, private, nil
}

// oidNameConstraints is the ID of the extension for name constraints.
func oidNameConstraints() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 5, 29, 30} }

// isNarrow reports whether an issuer's certificate has the name constraints of narrow.
func isNarrow(issuer *x509.Certificate, names permitted) bool {
	want, err := narrow(names)
	if err != nil {
		return false
	}
	for _, extension := range issuer.Extensions {
		if extension.Id.Equal(oidNameConstraints()) {
			return bytes.Equal(extension.Value, want.Value)
		}
	}
	return false
}

// The kinds of names in certificates (RFC 5280, section 4.2.1.6).
const (
	emailName     = 1
	dnsName       = 2
	directoryName = 4
	uriName       = 6
	addressName   = 7
)

// narrow returns the name constraints of an issuer (RFC 5280, section 4.2.1.10). They are the
// constraints of constrain, and also permit only the empty subject: if a certificate has no other name,
// a verifier takes the subject for the name of a server. Package x509 cannot write this constraint, and
// its verifier refuses a certificate if the extension is critical.
func narrow(names permitted) (pkix.Extension, error) {
	subject, err := asn1.Marshal(pkix.Name{CommonName: nobody}.ToRDNSequence())
	if err != nil {
		return pkix.Extension{}, fmt.Errorf("encode a subject: %w", err)
	}
	var allowed, excluded []asn1.RawValue
	add := func(to *[]asn1.RawValue, kind int, name []byte) {
		base := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: kind, IsCompound: kind == directoryName, Bytes: name}
		subtree, marshalled := asn1.Marshal(struct{ Base asn1.RawValue }{base})
		*to, err = append(*to, asn1.RawValue{FullBytes: subtree}), errors.Join(err, marshalled)
	}
	for _, domain := range names.domains {
		add(&allowed, dnsName, []byte(domain))
	}
	for _, network := range names.networks() {
		add(&allowed, addressName, append(bytes.Clone(network.IP), network.Mask...))
	}
	add(&allowed, emailName, []byte(nobody))
	add(&allowed, uriName, []byte(nobody))
	add(&allowed, directoryName, subject)
	for _, domain := range names.excluded() {
		add(&excluded, dnsName, []byte(domain))
	}
	value, marshalled := asn1.Marshal(struct {
		Permitted []asn1.RawValue `asn1:"optional,tag:0"`
		Excluded  []asn1.RawValue `asn1:"optional,omitempty,tag:1"`
	}{allowed, excluded})
	return pkix.Extension{Id: oidNameConstraints(), Value: value}, errors.Join(err, marshalled)
}
