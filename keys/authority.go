package keys

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// AuthorityFolder is the folder of the certificate authority, relative to the ring's directory.
const AuthorityFolder = "ca"

// organization is in the subject of an authority's certificates. The certificates of servers have an
// empty subject, because some verifiers take a common name for a host name.
const organization = "gcp-metadata-emulator"

const (
	authorityLifetime = 10 * 365 * 24 * time.Hour

	// around is the validity before and after the moment of issue. A year each way suits clients
	// with a wrong clock, and the sum stays below Apple's limit of 825 days
	// (https://support.apple.com/103769).
	around = 366 * 24 * time.Hour

	// cachedLeaves limits the number of cached certificates. One client asks for fewer Google
	// names than this.
	cachedLeaves = 256
)

// ErrNotOurs reports a host name outside the authority's domains.
var ErrNotOurs = errors.New("the certificate authority certifies only Google's host names and this machine")

// Authority is a certificate authority for an emulator's host names. Its certificates are
// constrained to the domains and addresses of [Ring.Certify], localhost and loopback addresses, and permit
// no URI or e-mail address. Nobody can therefore use a trusted Authority to impersonate another
// server (RFC 5280, section 4.2.1.10).
//
// Authority uses the machine's clock, as its TLS clients do. It ignores the ring's clock, which
// may be set to any date. It is safe for concurrent use.
type Authority struct {
	cert   *x509.Certificate // the root
	issuer *x509.Certificate
	key    *ecdsa.PrivateKey // of the issuer

	isNarrow bool // the issuer has the constraints that the root has, and that on subjects

	mu     sync.Mutex // held while a certificate is made, which takes some 50 µs
	leaves *lru.Cache[string, *tls.Certificate]
}

// Authority returns the ring's certificate authority. The first call loads it from the
// directory, or creates it.
func (r *Ring) Authority() (*Authority, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.authority != nil && r.authority.isUsable(r.permitted()) {
		return r.authority, nil
	}
	authority, err := r.loadAuthority()
	if err == nil {
		r.authority = authority
	}
	return authority, err
}

func (r *Ring) loadAuthority() (*Authority, error) {
	known, last, err := r.knownAuthority()
	if known != nil || err != nil {
		return known, err
	}
	fresh, err := newIssuer(r.permitted())
	if err != nil {
		return nil, err
	}
	name := fileName(AuthorityFolder, last+1, keySuffix)
	authority, err := loadOrCreate(r.vault, name, authorityForm(), func() ([]byte, error) { return fresh, nil })
	if err == nil {
		err = r.rememberAuthority(name, authority)
	}
	if err == nil && last > 0 {
		r.vault.tell(&ReplacedError{Old: r.vault.path(fileName(AuthorityFolder, last, keySuffix)), New: r.vault.path(name)})
	}
	return authority, err
}

func (r *Ring) rememberAuthority(name string, authority *Authority) error {
	data, err := authority.encode()
	r.remember(name, data)
	return err
}

// knownAuthority returns the newest usable authority, or nil and the highest number in use if
// no authority is usable. Unusable authorities stay on disk: once somebody corrects a wrong
// machine clock, they may be usable again.
func (r *Ring) knownAuthority() (known *Authority, last int, err error) {
	names, err := r.vault.names(AuthorityFolder)
	if err != nil {
		return nil, 0, err
	}
	var numbers []int
	for _, name := range names {
		if number, ok := numberOf(name, keySuffix); ok {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	for _, number := range slices.Backward(numbers) {
		name := fileName(AuthorityFolder, number, keySuffix)
		known, err := load(r.vault, name, authorityForm())
		if err != nil {
			return nil, 0, err
		}
		if known.isUsable(r.permitted()) {
			return known, 0, r.rememberAuthority(name, known)
		}
	}
	if len(numbers) > 0 {
		return nil, numbers[len(numbers)-1], nil
	}
	if len(names) > 0 { // of the folders with copies for programs
		r.vault.tell(&MissingError{Path: r.vault.path(fileName(AuthorityFolder, 1, keySuffix)), By: r.vault.path(AuthorityFolder + "/" + names[0])})
	}
	return nil, 0, nil
}

func authorityForm() form[*Authority] {
	return form[*Authority]{decode: parseAuthority, encode: (*Authority).encode, verify: func(a *Authority) error {
		if a.cert.CheckSignature(a.cert.SignatureAlgorithm, a.cert.RawTBSCertificate, a.cert.Signature) != nil || a.issuer.CheckSignatureFrom(a.cert) != nil {
			return errForged
		}
		return nil
	}}
}

var errForged = errors.New("it is damaged: its certificates are not signed by its own key")

// encode returns the content of the authority's file.
func (a *Authority) encode() ([]byte, error) { return encodeIssuer(a.cert, a.issuer, a.key) }

func parseAuthority(data []byte) (*Authority, error) {
	root, issuer, private, err := parseIssuer(data)
	if err != nil {
		return nil, err
	}
	key, ok := private.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("its private key is not an ECDSA key")
	}
	if !key.PublicKey.Equal(issuer.PublicKey) {
		return nil, errors.New("the certificate belongs to another private key")
	}
	leaves, err := lru.New[string, *tls.Certificate](cachedLeaves)
	return &Authority{cert: root, issuer: issuer, key: key, isNarrow: isNarrow(issuer, permittedBy(root)), leaves: leaves}, err
}

// IsAuthority reports whether cert is the certificate of an emulator's authority, this
// emulator's or another's.
func IsAuthority(cert *x509.Certificate) bool {
	return cert.IsCA && slices.Equal(cert.Subject.Organization, []string{organization})
}

// isUsable reports whether the authority is valid for long enough, and has exactly the name
// constraints that this version sets for the given names.
func (a *Authority) isUsable(names permitted) bool {
	return a.isNarrow && isValid(a.issuer) && isValid(a.cert) && isConstrained(a.cert, names)
}

// isValid reports whether cert is valid now and for one more day, for clients whose clock is
// ahead.
func isValid(cert *x509.Certificate) bool {
	now := machineTime()
	return !now.Before(cert.NotBefore) && now.Add(spare).Before(cert.NotAfter)
}

// machineTime returns the machine's time in UTC, truncated to seconds. The authority's clients
// use the same clock.
func machineTime() time.Time {
	return time.Now().UTC().Truncate(time.Second) //nolint:forbidigo // TLS clients know no other time
}

// Certificate returns the authority's own certificate in PEM, with a final newline.
func (a *Authority) Certificate() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: a.cert.Raw}))
}

// Leaf returns a certificate and key for a server with the given name or address. host is in
// lower case, without a final dot. Later calls return the same certificate while it is valid.
// The error is ErrNotOurs if the authority does not certify host.
func (a *Authority) Leaf(host string) (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if known, ok := a.leaves.Get(host); ok && isValid(known.Leaf) {
		return known, nil
	}
	names, addresses, err := a.subjects(host)
	if err != nil {
		return nil, err
	}
	leaf, err := a.certify(names, addresses)
	if err == nil {
		a.leaves.Add(host, leaf)
	}
	return leaf, err
}

func (a *Authority) certify(names []string, addresses []net.IP) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key for %q: %w", names, err)
	}
	now := machineTime()
	notAfter := now.Add(around)
	if notAfter.After(a.issuer.NotAfter) {
		notAfter = a.issuer.NotAfter
	}
	notBefore := now.Add(-around)
	if notBefore.Before(a.issuer.NotBefore) {
		notBefore = a.issuer.NotBefore
	}
	public, err := key.PublicKey.Bytes()
	if err != nil {
		return nil, fmt.Errorf("encode a key for %q: %w", names, err)
	}
	identifier := sha256.Sum256(public)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serialNumber(),
		NotBefore:    notBefore,
		NotAfter:     notAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     names,
		IPAddresses:  addresses,
		SubjectKeyId: identifier[:20], // RFC 7093, section 2

		BasicConstraintsValid: true,
	}, a.issuer, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("certify a key for %q: %w", names, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse the certificate for %q: %w", names, err)
	}
	return &tls.Certificate{Certificate: [][]byte{der, a.issuer.Raw}, PrivateKey: key, Leaf: cert}, nil
}

// serialNumber returns a random positive number (RFC 5280, section 4.1.2.2).
func serialNumber() *big.Int {
	serial := make([]byte, 8)
	_, _ = rand.Read(serial) // never fails: crypto/rand ends the process instead
	serial[0] &= 0x7f
	return new(big.Int).SetBytes(serial)
}
