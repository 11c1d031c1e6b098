package keys_test

import (
	"context"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/keys"
)

func at(text string) func() time.Time {
	moment, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return func() time.Time { return moment }
}

func certificate(t *testing.T, key *keys.Key) *x509.Certificate {
	t.Helper()
	block, rest := pem.Decode([]byte(key.Certificate()))
	if block == nil || len(rest) != 0 {
		t.Fatal("the certificate is not a single PEM block")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func active(t *testing.T, set *keys.Set) *keys.Key {
	t.Helper()
	key, err := set.Active(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func published(t *testing.T, set *keys.Set) []*keys.Key {
	t.Helper()
	all, err := set.Published(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func ids(all []*keys.Key) []string {
	var ids []string
	for _, key := range all {
		ids = append(ids, key.ID())
	}
	return ids
}

// Certificates have the form of real ones: two of federated-signon, two of a service account.
func TestCertificate(t *testing.T) {
	t.Parallel()
	now := at("2026-11-21T10:00:00Z")
	ring := newRing(t, "", now)
	google := published(t, ring.Google())
	if len(google) != 2 {
		t.Fatalf("%d keys are published, want 2", len(google))
	}
	const federated = 16*24*time.Hour + 12*time.Hour + 15*time.Minute
	tests := []struct {
		name       string
		key        *keys.Key
		commonName string
		validity   time.Duration
		until      string
	}{
		{"active", google[0], "federated-signon.system.gserviceaccount.com", federated, ""},
		{"next", google[1], "federated-signon.system.gserviceaccount.com", federated, ""},
		{"system", active(t, ring.System("app@p.iam.gserviceaccount.com")), "app.p.iam.gserviceaccount.com", 2 * 365 * 24 * time.Hour, ""},
		{"user", active(t, ring.User("app@p.iam.gserviceaccount.com", "100000000000000000001")), "100000000000000000001", 0, "9999-12-31T23:59:59Z"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cert := certificate(t, test.key)
			sum := sha1.Sum(cert.Raw)
			if want := hex.EncodeToString(sum[:]); test.key.ID() != want {
				t.Errorf("ID = %s, want the certificate's SHA-1 %s", test.key.ID(), want)
			}
			if cert.Subject.CommonName != test.commonName || cert.Issuer.CommonName != test.commonName {
				t.Errorf("subject %q, issuer %q; want %q", cert.Subject.CommonName, cert.Issuer.CommonName, test.commonName)
			}
			if test.until == "" && cert.NotAfter.Sub(cert.NotBefore) != test.validity {
				t.Errorf("valid for %v, want %v", cert.NotAfter.Sub(cert.NotBefore), test.validity)
			}
			if test.until != "" && cert.NotAfter.Format(time.RFC3339) != test.until {
				t.Errorf("valid until %v, want %v", cert.NotAfter, test.until)
			}
			if !cert.NotBefore.Before(now()) || !cert.NotAfter.After(now()) {
				t.Errorf("not valid now: %v to %v", cert.NotBefore, cert.NotAfter)
			}
			if cert.SignatureAlgorithm != x509.SHA1WithRSA || cert.KeyUsage != x509.KeyUsageDigitalSignature ||
				len(cert.ExtKeyUsage) != 1 || cert.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth ||
				!cert.BasicConstraintsValid || cert.IsCA || cert.SubjectKeyId != nil || cert.AuthorityKeyId != nil {
				t.Errorf("not in the form of Google's certificates: %+v", cert)
			}
			for _, extension := range cert.Extensions {
				if !extension.Critical {
					t.Errorf("extension %v is not critical", extension.Id)
				}
			}
			if test.key.Public().N.BitLen() != 2048 {
				t.Errorf("%d bits", test.key.Public().N.BitLen())
			}
		})
	}
}

func TestJWK(t *testing.T) {
	t.Parallel()
	key := active(t, newRing(t, "", time.Now).Google())
	jwk := key.JWK()
	modulus, err := base64.RawURLEncoding.DecodeString(jwk.Modulus)
	if err != nil || new(big.Int).SetBytes(modulus).Cmp(key.Public().N) != 0 {
		t.Errorf("n is not the modulus: %v", err)
	}
	want := keys.JWK{Algorithm: "RS256", Exponent: "AQAB", ID: key.ID(), Type: "RSA", Modulus: jwk.Modulus, Use: "sig"}
	if diff := cmp.Diff(want, jwk); diff != "" {
		t.Error(diff)
	}
}

func TestKept(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	first := newRing(t, dir, time.Now)
	google, system := ids(published(t, first.Google())), active(t, first.System("a@b.c")).ID()
	secret, err := first.Secret()
	if err != nil {
		t.Fatal(err)
	}

	second := newRing(t, dir, time.Now)
	if err := second.Load(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(google, ids(published(t, second.Google()))); diff != "" {
		t.Errorf("Google's keys changed:\n%s", diff)
	}
	if got := active(t, second.System("A@b.c")).ID(); got != system {
		t.Errorf("the system-managed key changed from %s to %s", system, got)
	}
	if got, err := second.Secret(); err != nil || string(got) != string(secret) {
		t.Errorf("the secret changed: %v", err)
	}

	if err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if want := map[bool]os.FileMode{true: 0o700, false: 0o600}[entry.IsDir()]; info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), want)
		}
		if !entry.IsDir() && strings.HasPrefix(entry.Name(), ".") {
			t.Errorf("%s was left behind", path)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// Rings share only the directory, as processes do.
func TestManyAtOnceShareKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const count = 6
	got := make([][]string, count)
	secrets := make([]string, count)
	var group sync.WaitGroup
	for i := range count {
		group.Go(func() {
			ring := newRing(t, dir, time.Now)
			got[i] = ids(published(t, ring.Google()))
			got[i] = append(got[i], active(t, ring.User("a@b.c", "1")).ID())
			secret, err := ring.Secret()
			if err != nil {
				t.Error(err)
			}
			secrets[i] = string(secret)
		})
	}
	group.Wait()
	for i := range count {
		if diff := cmp.Diff(got[0], got[i]); diff != "" || secrets[i] != secrets[0] {
			t.Errorf("ring %d has other keys (-first +it):\n%s", i, diff)
		}
	}
}

// Close never leaves a half-written file behind.
func TestClose(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ring := newRing(t, dir, time.Now)
	set := ring.User("a@b.c", "1")
	key := active(t, set)
	ring.Close()
	if again := active(t, set); again != key {
		t.Error("an existing key cannot be used")
	}
	if _, err := ring.User("d@e.f", "2").Active(context.Background()); err == nil {
		t.Error("a key is made after the end")
	}
	if files, err := filepath.Glob(filepath.Join(dir, "keys", "accounts", "d@e.f")); err != nil || len(files) > 0 {
		t.Errorf("files: %q, %v", files, err)
	}
}

func TestOtherProcessesKeysAreKnown(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	here, there := newRing(t, dir, time.Now).User("a@b.c", "1"), newRing(t, dir, time.Now).User("a@b.c", "1")
	if known, err := here.Known(); err != nil || len(known) != 0 {
		t.Fatalf("Known = %v, %v; want none", known, err)
	}
	made := active(t, there)
	if known, err := here.Known(); err != nil || len(known) != 1 || known[0].ID() != made.ID() {
		t.Errorf("Known = %v, %v; want the key made elsewhere", ids(known), err)
	}
}

func TestDamagedFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	published(t, newRing(t, dir, time.Now).Google())
	path := filepath.Join(dir, "keys", "google", "1.pem")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damages := map[string][]byte{
		"empty":            {},
		"in a certificate": whole[:200],
		"in a private key": whole[:len(whole)-100],
		"no PEM":           []byte("hello\n"),
		"other key":        append(append([]byte{}, whole[:strings.Index(string(whole), "-----BEGIN PRIVATE")]...), otherPrivateKey(t)...),
	}
	for name, damaged := range damages {
		t.Run(name, func(t *testing.T) { // one after the other: they share the file
			if err := os.WriteFile(path, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			ring := newRing(t, dir, time.Now)
			var fileError *keys.FileError
			for _, err := range []error{ring.Load(), ring.Warm(context.Background())} {
				if !errors.As(err, &fileError) || fileError.Path != path || !strings.Contains(err.Error(), path) || fileError.Hint() == "" {
					t.Errorf("error is %v; want an error that names %s", err, path)
				}
			}
			if after, err := os.ReadFile(path); err != nil || string(after) != string(damaged) {
				t.Errorf("the file was changed: %v", err)
			}
		})
	}
}

func otherPrivateKey(t *testing.T) string {
	t.Helper()
	private, err := active(t, newRing(t, "", time.Now).Google()).PrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	return private
}

func TestDamagedSecret(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "keys", "token.secret")
	if err := os.WriteFile(path, []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := newRing(t, dir, time.Now).Secret()
	if err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error is %v; want an error that names %s", err, path)
	}
}

// A key gives way before it expires. Its successor is published long before, and the key stays
// published while its signatures may be valid.
func TestExpiry(t *testing.T) {
	t.Parallel()
	start := at("2026-11-01T00:00:00Z")()
	var now atomic.Int64
	set := newRing(t, t.TempDir(), func() time.Time { return time.Unix(now.Load(), 0) }).Google()

	now.Store(start.Unix())
	first := ids(published(t, set))
	if got := active(t, set).ID(); got != first[0] {
		t.Fatalf("active is %s, want the older of %v", got, first)
	}
	now.Store(start.Add(7*24*time.Hour + 13*time.Hour).Unix())
	later := ids(published(t, set))
	if got := active(t, set).ID(); got != first[1] {
		t.Errorf("active is %s on the eighth day, want the next key %s", got, first[1])
	}
	if len(later) != 3 || later[0] != first[0] || later[1] != first[1] {
		t.Errorf("%v are published on the eighth day, want %v and a new one", later, first)
	}
	now.Store(start.Add(365 * 24 * time.Hour).Unix())
	much := ids(published(t, set))
	if len(much) != 2 || active(t, set).ID() != much[0] {
		t.Errorf("%v are published a year later, want two new keys", much)
	}

	// From then on, every signing key has been published for a day.
	before := much
	for day := range 40 {
		now.Store(start.Add(time.Duration(366+day) * 24 * time.Hour).Unix())
		if got := active(t, set).ID(); !slices.Contains(before, got) {
			t.Fatalf("on day %d the active key is %s, and the day before %v were published", day, got, before)
		}
		before = ids(published(t, set))
	}
}

func TestWaitEndsWithContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := newRing(t, "", time.Now).Google().Active(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Active = %v, want %v", err, context.Canceled)
	}
}

func TestFolderNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ring := newRing(t, filepath.Join(dir, "state"), time.Now)
	for _, email := range []string{"..", ".", "../../x@y", "a/b@c", `a\b@c`, strings.Repeat("'", 100) + "@d.e"} {
		active(t, ring.User(email, "1"))
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("files outside the state directory: %v, %v", entries, err)
	}
	entries, err = os.ReadDir(filepath.Join(dir, "state", "keys", "accounts"))
	if err != nil || len(entries) != 6 {
		t.Errorf("folders of accounts: %v, %v", entries, err)
	}
}

func BenchmarkActive(b *testing.B) {
	set := newRing(b, "", time.Now).Google()
	for b.Loop() {
		if _, err := set.Active(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

// newRing returns a ring that has written all of its files when the test ends: a temporary folder is
// removed then.
func newRing(t testing.TB, dir string, now func() time.Time) *keys.Ring {
	t.Helper()
	ring := keys.NewRing(dir, now)
	t.Cleanup(ring.Wait)
	return ring
}
