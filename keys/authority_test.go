package keys_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gcp-metadata-emulator/keys"
)

// certifier returns a ring whose authority certifies the names below domains.
func certifier(t testing.TB, dir string, now func() time.Time) *keys.Ring {
	t.Helper()
	ring := newRing(t, dir, now)
	ring.Certify([]string{"googleapis.com", "accounts.google.com", "www.gstatic.com", "metadata.google.internal", "metadata.goog"})
	return ring
}

// Without domains, a ring's authority certifies only this machine, and the ring does not use a
// kept authority with more domains.
func TestAuthorityOfNoDomains(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	wide := authority(t, certifier(t, dir, time.Now))
	narrow := authority(t, newRing(t, dir, time.Now))
	if narrow.Certificate() == wide.Certificate() {
		t.Error("an authority for more domains is used")
	}
	_ = leaf(t, narrow, "localhost")
	if _, err := narrow.Leaf("sts.googleapis.com"); !errors.Is(err, keys.ErrNotOurs) {
		t.Errorf("a name of no domain: %v", err)
	}
}

// The authority certifies the addresses that it is told, and no neighbours of theirs. A ring does not use
// a kept authority of other addresses.
func TestAuthorityOfAddresses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	own := []netip.Addr{netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("fd20:ce::254")}
	certifying := func(addresses ...netip.Addr) *keys.Authority {
		ring := newRing(t, dir, time.Now)
		ring.Certify([]string{"googleapis.com"}, addresses...)
		return authority(t, ring)
	}
	without := certifying()
	with := certifying(own...)
	if with.Certificate() == without.Certificate() {
		t.Error("an authority without the addresses is used")
	}
	if again := certifying(own...); again.Certificate() != with.Certificate() {
		t.Error("the kept authority is not used")
	}
	for _, address := range own {
		leaf := leaf(t, with, address.String())
		if _, err := leaf.Leaf.Verify(x509.VerifyOptions{Intermediates: chain(t, leaf), DNSName: bracketed(address.String()), Roots: roots(t, with.Certificate())}); err != nil {
			t.Error(err)
		}
		if _, err := without.Leaf(address.String()); !errors.Is(err, keys.ErrNotOurs) {
			t.Errorf("a certificate for %s: %v", address, err)
		}
		if _, err := with.Leaf(address.Next().String()); !errors.Is(err, keys.ErrNotOurs) {
			t.Errorf("a certificate for %s: %v", address.Next(), err)
		}
	}
}

func authority(t *testing.T, ring *keys.Ring) *keys.Authority {
	t.Helper()
	authority, err := ring.Authority()
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

func leaf(t *testing.T, authority *keys.Authority, host string) *tls.Certificate {
	t.Helper()
	leaf, err := authority.Leaf(host)
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

func roots(t *testing.T, certificate string) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(certificate)) {
		t.Fatal("the authority's certificate is not PEM")
	}
	return pool
}

// chain returns the certificates that a server sends beside its own.
func chain(t *testing.T, leaf *tls.Certificate) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	for _, der := range leaf.Certificate[1:] {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		pool.AddCert(cert)
	}
	return pool
}

// The authority certifies every host name that clients request, and each address of this
// machine.
func TestLeaves(t *testing.T) {
	t.Parallel()
	authority := authority(t, certifier(t, "", at("1999-11-21T10:00:00Z")))
	pool := roots(t, authority.Certificate())
	hosts := []string{
		"oauth2.googleapis.com", "oauth2.mtls.googleapis.com", "www.googleapis.com", "accounts.google.com",
		"iamcredentials.googleapis.com", "iamcredentials.mtls.googleapis.com", "sts.googleapis.com", "sts.mtls.googleapis.com",
		"sts.us-east1.rep.googleapis.com", "www.gstatic.com", "openidconnect.googleapis.com", "cloudresourcemanager.googleapis.com",
		"iam.googleapis.com", "metadata.google.internal", "metadata.goog", "localhost", "demo-vm.localhost", "127.0.0.1", "127.0.0.9", "::1",
	}
	for _, host := range hosts {
		leaf := leaf(t, authority, host)
		for _, moment := range []time.Time{time.Now(), time.Now().AddDate(-1, 0, 0), time.Now().AddDate(1, 0, 0)} {
			if _, err := leaf.Leaf.Verify(x509.VerifyOptions{Intermediates: chain(t, leaf), DNSName: bracketed(host), Roots: pool, CurrentTime: moment}); err != nil {
				t.Errorf("%s at %v: %v", host, moment, err)
			}
		}
		if len(leaf.Leaf.AuthorityKeyId) == 0 || len(leaf.Leaf.SubjectKeyId) == 0 || leaf.Leaf.Subject.String() != "" {
			t.Errorf("%s: a certificate that some client refuses: %+v", host, leaf.Leaf)
		}
	}
	for _, host := range []string{"example.com", "google.com", "evil-googleapis.com", "10.0.0.1", "169.254.169.254", "", "internal", "x.accounts.google.com", "a.b.www.gstatic.com"} {
		if _, err := authority.Leaf(host); !errors.Is(err, keys.ErrNotOurs) {
			t.Errorf("a certificate for %q: %v", host, err)
		}
	}
}

// bracketed returns addresses in the form that x509 expects.
func bracketed(host string) string {
	if net.ParseIP(host) != nil {
		return "[" + host + "]"
	}
	return host
}

func TestLeafIsMadeOnce(t *testing.T) {
	t.Parallel()
	authority := authority(t, certifier(t, "", time.Now))
	made := make([]*tls.Certificate, 16)
	var group sync.WaitGroup
	for i := range made {
		group.Go(func() { made[i], _ = authority.Leaf("oauth2.googleapis.com") })
	}
	group.Wait()
	for _, other := range made {
		if other == nil || other != made[0] {
			t.Fatal("one name got several certificates")
		}
	}
	for i := range 1000 { // more than are remembered
		_ = leaf(t, authority, fmt.Sprintf("service-%d.googleapis.com", i))
	}
	if leaf(t, authority, "oauth2.googleapis.com") == made[0] {
		t.Error("the number of cached certificates is unlimited")
	}
}

// A stolen key of the authority is useless for other hosts.
func TestAuthorityIsUselessElsewhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pool := roots(t, authority(t, certifier(t, dir, time.Now)).Certificate())
	data, err := os.ReadFile(filepath.Join(dir, "ca", "1.pem"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest := pem.Decode(data)
	certBlock, rest := pem.Decode(rest)
	cert, key := parsePair(t, certBlock.Bytes, rest)
	issuers := x509.NewCertPool()
	issuers.AddCert(cert)
	verify := func(template *x509.Certificate, usage x509.ExtKeyUsage) error {
		t.Helper()
		own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template.SerialNumber = big.NewInt(1)
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, template, cert, own.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		_, err = parsed.Verify(x509.VerifyOptions{Roots: pool, Intermediates: issuers, KeyUsages: []x509.ExtKeyUsage{usage}})
		return err
	}
	server := func(names ...string) *x509.Certificate {
		return &x509.Certificate{DNSNames: names, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	}
	if err := verify(server("sts.googleapis.com", "localhost"), x509.ExtKeyUsageServerAuth); err != nil {
		t.Errorf("a certificate for an allowed name: %v", err)
	}
	for _, name := range []string{"example.com", "google.com", "mail.google.com", "gstatic.com", "google.internal", "com", "x.www.gstatic.com", "x.accounts.google.com"} {
		var invalid x509.CertificateInvalidError
		if err := verify(server("sts.googleapis.com", name), x509.ExtKeyUsageServerAuth); !errors.As(err, &invalid) || invalid.Reason != x509.CANotAuthorizedForThisName {
			t.Errorf("a certificate for %s: %v", name, err)
		}
	}
	for what, change := range map[string]func(*x509.Certificate){
		"10.0.0.1":        func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(10, 0, 0, 1)} },
		"169.254.169.254": func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(169, 254, 169, 254)} },
		"a workload": func(c *x509.Certificate) {
			c.URIs = []*url.URL{{Scheme: "spiffe", Host: "prod.example.com", Path: "/ns/x"}}
		},
		"a workload of Google's": func(c *x509.Certificate) {
			c.URIs = []*url.URL{{Scheme: "spiffe", Host: "sts.googleapis.com", Path: "/x"}}
		},
		"an e-mail address":   func(c *x509.Certificate) { c.EmailAddresses = []string{"a@example.com"} },
		"one of this machine": func(c *x509.Certificate) { c.EmailAddresses = []string{"root@localhost"} },
	} {
		for _, template := range []*x509.Certificate{server(), server("sts.googleapis.com")} {
			change(template)
			if err := verify(template, x509.ExtKeyUsageServerAuth); err == nil {
				t.Errorf("a certificate for %s and %q is accepted", what, template.DNSNames)
			}
		}
	}
	if err := verify(&x509.Certificate{DNSNames: []string{"localhost"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, x509.ExtKeyUsageClientAuth); err == nil {
		t.Error("a certificate for a client is accepted")
	}
}

func TestAuthorityIsKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certificates := make([]string, 8)
	var group sync.WaitGroup
	for i := range certificates {
		group.Go(func() {
			if authority, err := certifier(t, dir, time.Now).Authority(); err == nil {
				certificates[i] = authority.Certificate()
			}
		})
	}
	group.Wait()
	for _, other := range certificates {
		if other == "" || other != certificates[0] {
			t.Fatal("processes with the same directory have several authorities")
		}
	}
	info, err := os.Stat(filepath.Join(dir, "ca", "1.pem"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("kept as %v, %v", info, err)
	}

	if err := os.WriteFile(filepath.Join(dir, "ca", "2.pem"), []byte("hello\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var fileError *keys.FileError
	if _, err := certifier(t, dir, time.Now).Authority(); !errors.As(err, &fileError) || fileError.Hint() == "" {
		t.Errorf("a damaged file: %v", err)
	}
	if err := certifier(t, dir, time.Now).Load(); !errors.As(err, &fileError) || !strings.HasSuffix(fileError.Path, filepath.Join("ca", "2.pem")) {
		t.Errorf("a damaged file, at the start: %v", err)
	}
	elsewhere := t.TempDir()
	if err := certifier(t, elsewhere, time.Now).Load(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(elsewhere, "ca")); err == nil {
		t.Error("an authority was made before the first use")
	}
}

// The authority ignores emulated time, because clients that check its certificates do not know
// it.
func TestAuthorityGoesByTheMachinesClock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := time.Now()
	ring := certifier(t, dir, func() time.Time { return now })
	first := authority(t, ring).Certificate()
	for _, years := range []int{-40, -2, 2, 11, 400} {
		now = time.Now().AddDate(years, 0, 0)
		for name, ring := range map[string]*keys.Ring{"the same process": ring, "another": certifier(t, dir, func() time.Time { return now })} {
			authority := authority(t, ring)
			if authority.Certificate() != first {
				t.Errorf("%+d years, %s: got a different authority", years, name)
			}
			leaf := leaf(t, authority, fmt.Sprintf("service%d.googleapis.com", years))
			if _, err := leaf.Leaf.Verify(x509.VerifyOptions{Intermediates: chain(t, leaf), Roots: roots(t, first)}); err != nil {
				t.Errorf("%+d years, %s: %v", years, name, err)
			}
		}
	}
	if files, err := filepath.Glob(filepath.Join(dir, "ca", "*")); err != nil || len(files) != 1 {
		t.Errorf("files: %q, %v", files, err)
	}
}

// An expired authority is replaced, also in a running process.
func TestAuthorityExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		ring := certifier(t, dir, time.Now)
		first := authority(t, ring)
		of := leaf(t, first, "localhost")
		time.Sleep(2 * 366 * 24 * time.Hour)
		if leaf(t, authority(t, ring), "localhost") == of {
			t.Error("an expired certificate is used")
		}
		time.Sleep(9 * 366 * 24 * time.Hour)
		second := authority(t, ring)
		if second.Certificate() == first.Certificate() {
			t.Error("an expired authority is used")
		}
		if again := authority(t, certifier(t, dir, time.Now)); again.Certificate() != second.Certificate() {
			t.Error("the expired authority was used instead of the valid one")
		}
	})
}

// move moves a kept file, without its checksum, which is good for its first name only.
func move(t *testing.T, from, to string) {
	t.Helper()
	unseal(t, from)
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// After a period with a wrong clock, the machine uses its earlier authority again.
func TestAuthorityOfAnotherDayIsLeftOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) { // in the year 2000
		_ = authority(t, certifier(t, dir, time.Now))
	})
	move(t, filepath.Join(dir, "ca", "1.pem"), filepath.Join(dir, "ca", "2.pem"))
	elsewhere := t.TempDir()
	first := authority(t, certifier(t, elsewhere, time.Now)).Certificate()
	move(t, filepath.Join(elsewhere, "ca", "1.pem"), filepath.Join(dir, "ca", "1.pem"))
	if got := authority(t, certifier(t, dir, time.Now)).Certificate(); got != first {
		t.Error("got a different authority")
	}
}

func parsePair(t *testing.T, der, keyPEM []byte) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(keyPEM)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key.(*ecdsa.PrivateKey)
}
