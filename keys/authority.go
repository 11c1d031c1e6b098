package keys

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"gcp-metadata-emulator/server/router/hostname"
)

// AuthorityFolder is where a ring keeps the certificate authority, below its directory.
const AuthorityFolder = "ca"

// organization is the subject of every certificate of the authority. There is no common
// name, which old verifiers would take for a host name that no constraint holds for.
const organization = "gcp-metadata-emulator"

const (
	authorityLifetime = 10 * 365 * 24 * time.Hour

	// What is valid a year before and after suits a client that is run with another time, and
	// Apple's limit of 825 days (https://support.apple.com/103769).
	around = 366 * 24 * time.Hour

	// cachedLeaves is how many certificates are remembered: more than Google has names that
	// one client asks for.
	cachedLeaves = 256
)

// ErrNotOurs says that the authority certifies no such name.
var ErrNotOurs = errors.New("the certificate authority is only for names of Google's and of this machine")

// Authority is a certificate authority for the names under which an emulator answers, and
// for no other: its certificate is constrained to Google's names, localhost and loopback
// addresses, without any URI or e-mail address, so that trusting it lets nobody play another server (RFC 5280, section 4.2.1.10).
//
// It goes by the machine's clock, as the TLS clients do which check its certificates, and not
// by the ring's, which may be set to any day. It is safe for concurrent use.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey

	mu     sync.Mutex // held while a certificate is made, which takes some 50 µs
	leaves *lru.Cache[string, *tls.Certificate]
}

// Authority is the ring's certificate authority. The first call reads it, or makes it.
func (r *Ring) Authority() (*Authority, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.authority != nil && r.authority.isUsable() {
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
	fresh, err := newAuthority()
	if err != nil {
		return nil, err
	}
	name := fileName(AuthorityFolder, last+1, keySuffix)
	kept, err := r.vault.create(name, fresh)
	if err != nil {
		return nil, err
	}
	return r.decodeAuthority(name, kept)
}

// knownAuthority reads the newest authority that is usable, and says what the highest number is;
// nil: there is none. One that is not usable may be so again, when a machine's clock that was wrong
// has been set.
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
		data, err := r.vault.read(name)
		if err != nil {
			return nil, 0, err
		}
		known, err := r.decodeAuthority(name, data)
		if err != nil {
			return nil, 0, err
		}
		if known.isUsable() {
			return known, 0, nil
		}
	}
	if len(numbers) > 0 {
		last = numbers[len(numbers)-1]
	}
	return nil, last, nil
}

// newAuthority makes an authority as it is kept: the certificate, then the private key.
func newAuthority() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the key of the certificate authority: %w", err)
	}
	now := machineTime()
	template := &x509.Certificate{
		SerialNumber: serialNumber(),
		Subject:      pkix.Name{Organization: []string{organization}, CommonName: organization + " local CA"},
		NotBefore:    now.Add(-around),
		NotAfter:     now.Add(authorityLifetime),
		KeyUsage:     x509.KeyUsageCertSign,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},

		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,

		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         permittedDomains(),
		PermittedIPRanges: []*net.IPNet{
			{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)},
			{IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)},
		},
		// A kind of name without a constraint would be without limits.
		PermittedURIDomains:     []string{nobody},
		PermittedEmailAddresses: []string{nobody},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("certify the certificate authority: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode the key of the certificate authority: %w", err)
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: privateKeyBlock, Bytes: private})...), nil
}

// nobody is a host that there is not and never will be (RFC 6761, section 6.4).
const nobody = "nobody.invalid"

func permittedDomains() []string { return append(hostname.Domains(), "localhost") }

func (r *Ring) decodeAuthority(name string, data []byte) (*Authority, error) {
	authority, err := parseAuthority(data)
	if err != nil {
		return nil, &FileError{Path: r.vault.path(name), Problem: "cannot be used", Err: err}
	}
	return authority, nil
}

func parseAuthority(data []byte) (*Authority, error) {
	der, private, err := decodePair(data)
	if err != nil {
		return nil, err
	}
	key, ok := private.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("its private key is not an ECDSA key")
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse the certificate: %w", err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, errors.New("the certificate belongs to another private key")
	}
	leaves, err := lru.New[string, *tls.Certificate](cachedLeaves)
	return &Authority{cert: cert, key: key, leaves: leaves}, err
}

// IsAuthority tells whether a certificate is that of an emulator's authority, this one's or
// another's.
func IsAuthority(cert *x509.Certificate) bool {
	return cert.IsCA && slices.Equal(cert.Subject.Organization, []string{organization})
}

// isUsable tells whether the authority is valid for as long as a certificate of its, and
// holds for the names that it has to and no others.
func (a *Authority) isUsable() bool {
	return isValid(a.cert) && slices.Equal(a.cert.PermittedDNSDomains, permittedDomains()) &&
		slices.Equal(a.cert.PermittedURIDomains, []string{nobody}) && slices.Equal(a.cert.PermittedEmailAddresses, []string{nobody})
}

// isValid leaves a day for clients whose clock is early.
func isValid(cert *x509.Certificate) bool {
	now := machineTime()
	return !now.Before(cert.NotBefore) && now.Add(spare).Before(cert.NotAfter)
}

// machineTime is what the clients of the authority go by, in whole seconds.
func machineTime() time.Time {
	return time.Now().UTC().Truncate(time.Second) //nolint:forbidigo // TLS clients know no other time
}

// Certificate is the authority's own certificate in PEM, with a final newline.
func (a *Authority) Certificate() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: a.cert.Raw}))
}

// Leaf is a certificate, with its key, for a server of the name or address given, in lower
// case and without a final dot. It is made once. The error is ErrNotOurs for a name that the
// authority is not for.
func (a *Authority) Leaf(host string) (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if known, ok := a.leaves.Get(host); ok && isValid(known.Leaf) {
		return known, nil
	}
	names, addresses, err := subjects(host)
	if err != nil {
		return nil, err
	}
	leaf, err := a.certify(names, addresses)
	if err == nil {
		a.leaves.Add(host, leaf)
	}
	return leaf, err
}

// subjects are what a certificate for a host is for. One for this machine is for it under
// each of its names.
func subjects(host string) (names []string, addresses []net.IP, err error) {
	address, notAddress := netip.ParseAddr(host)
	switch {
	case host == "localhost", notAddress == nil && address.IsLoopback():
		addresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
		if own := net.IP(address.AsSlice()); own != nil && !slices.ContainsFunc(addresses, own.Equal) {
			addresses = append(addresses, own)
		}
		return []string{"localhost"}, addresses, nil
	case !slices.ContainsFunc(permittedDomains(), func(domain string) bool { return host == domain || strings.HasSuffix(host, "."+domain) }):
		return nil, nil, fmt.Errorf("%w, not %q", ErrNotOurs, host)
	default:
		return []string{host}, nil, nil
	}
}

func (a *Authority) certify(names []string, addresses []net.IP) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key for %q: %w", names, err)
	}
	now := machineTime()
	notAfter := now.Add(around)
	if notAfter.After(a.cert.NotAfter) {
		notAfter = a.cert.NotAfter
	}
	notBefore := now.Add(-around)
	if notBefore.Before(a.cert.NotBefore) {
		notBefore = a.cert.NotBefore
	}
	public, err := key.PublicKey.Bytes()
	if err != nil {
		return nil, fmt.Errorf("encode a key for %q: %w", names, err)
	}
	identifier := sha256.Sum256(public)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serialNumber(),
		Subject:      pkix.Name{Organization: []string{organization}},
		NotBefore:    notBefore,
		NotAfter:     notAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     names,
		IPAddresses:  addresses,
		SubjectKeyId: identifier[:20], // RFC 7093, section 2

		BasicConstraintsValid: true,
	}, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("certify a key for %q: %w", names, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse the certificate for %q: %w", names, err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: cert}, nil
}

// serialNumber is a random positive number (RFC 5280, section 4.1.2.2).
func serialNumber() *big.Int {
	serial := make([]byte, 8)
	_, _ = rand.Read(serial) // never fails: crypto/rand ends the process instead
	serial[0] &= 0x7f
	return new(big.Int).SetBytes(serial)
}
