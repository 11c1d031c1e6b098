package trust_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/trust"
)

func certificate(t *testing.T) string {
	t.Helper()
	authority, err := keys.NewRing("", time.Now).Authority()
	if err != nil {
		t.Fatal(err)
	}
	return authority.Certificate()
}

// root returns a certificate of another authority.
func root(t *testing.T, name string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestFiles(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "ca")
	own, first, second := certificate(t), root(t, "first"), root(t, "second")
	roots := "# a comment\n" + first + own + certificate(t) + second + first + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
	var all sync.WaitGroup
	written := make([]trust.Files, 4)
	for i := range written {
		all.Go(func() {
			var err error
			if written[i], err = trust.Write(dir, own, []byte(roots)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	files := written[0]
	if written[1] != files || written[3] != files {
		t.Errorf("the same is in several places: %v", written)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("files: %v, %v", entries, err)
	}
	if got := string(read(t, files.Authority)); got != own {
		t.Errorf("authority: %q", got)
	}
	if got := string(read(t, files.Bundle)); got != first+second+own {
		t.Errorf("bundle: %q", got)
	}
	stored, err := pkcs12.DecodeTrustStore(read(t, files.TrustStore), trust.Password)
	if err != nil || len(stored) != 3 {
		t.Fatalf("trust store: %d certificates, %v", len(stored), err)
	}
	block, _ := pem.Decode([]byte(own))
	if want, err := x509.ParseCertificate(block.Bytes); err != nil || !stored[2].Equal(want) {
		t.Errorf("trust store: the last is %v", stored[2].Subject)
	}
	if got := string(read(t, filepath.Join(files.PHP, "emulator.ini"))); strings.Count(got, files.Bundle) != 2 {
		t.Errorf("settings for PHP: %q", got)
	}

	if again, err := trust.Write(dir, own, read(t, files.Bundle)); err != nil || again != files {
		t.Errorf("trusted roots from these files led to different files: %v, %v", again, err)
	}
	other, err := trust.Write(dir, own, nil)
	if err != nil || other.Bundle == files.Bundle || string(read(t, other.Bundle)) != own {
		t.Errorf("without roots: %v, %v", other, err)
	}
}

// Programs of other users can read the files, whatever the umask.
func TestEverybodyMayRead(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	files, err := trust.Write(dir, certificate(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(filepath.Dir(files.Bundle), func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if want := map[bool]fs.FileMode{false: 0o644, true: 0o755}[entry.IsDir()]; info.Mode().Perm() != want {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm()&0o700 != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
}

// Changes to the files are undone.
func TestFilesAreMended(t *testing.T) {
	t.Parallel()
	dir, own := t.TempDir(), certificate(t)
	files, err := trust.Write(dir, own, nil)
	if err != nil {
		t.Fatal(err)
	}
	stranger := []byte(root(t, "stranger"))
	for name, damage := range map[string]func() error{
		"removed":   func() error { return errors.Join(os.Remove(files.Bundle), os.RemoveAll(files.PHP)) },
		"truncated": func() error { return errors.Join(os.Truncate(files.TrustStore, 10), os.Truncate(files.Authority, 10)) },
		"replaced":  func() error { return os.WriteFile(files.Bundle, stranger, 0o600) },
		"closed":    func() error { return errors.Join(os.Chmod(files.Bundle, 0o600), os.Chmod(files.PHP, 0o700)) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		if _, err := trust.Write(dir, own, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		info, err := os.Stat(files.Bundle)
		if err != nil || info.Mode().Perm() != 0o644 || string(read(t, files.Bundle)) != own {
			t.Errorf("%s: %v, %v", name, info, err)
		}
		for _, file := range []string{files.Authority, files.TrustStore, files.PHP} {
			if !trust.Holds(file, own) {
				t.Errorf("%s: %s does not hold the authority", name, file)
			}
		}
	}
}

// Ephemeral emulators do not fill the disk. Folders in use, and foreign folders, stay.
func TestOldFoldersAreRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(authority string, age time.Duration) string {
		t.Helper()
		files, err := trust.Write(dir, authority, nil)
		if err != nil {
			t.Fatal(err)
		}
		folder := filepath.Dir(files.Bundle)
		if err := os.Chtimes(folder, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
		return folder
	}
	var old []string
	for i := range 20 {
		old = append(old, write(certificate(t), 25*time.Hour+time.Duration(i)*time.Minute))
	}
	mixed := old[18]
	for _, strangers := range []string{"kept/ca.pem", "0123456789abcdef/ca.pem", "fedcba9876543210/bundle.pem", filepath.Base(mixed) + "/mine"} {
		path := filepath.Join(dir, strangers)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(root(t, "mine")), 0o600),
			os.Chtimes(filepath.Dir(path), time.Time{}, time.Now().Add(-48*time.Hour))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(old[19], ".new-1"), nil, 0o600); err != nil { // of a process that was killed
		t.Fatal(err)
	}
	if err := os.Chtimes(old[19], time.Time{}, time.Now().Add(-48*time.Hour)); err != nil {
		t.Fatal(err)
	}
	recent := write(certificate(t), 23*time.Hour)
	latest := write(certificate(t), 0)
	for i, folder := range append(old, recent, latest) {
		_, err := os.Stat(filepath.Join(folder, "bundle.pem"))
		if isOld := i >= 15 && i < 20; errors.Is(err, fs.ErrNotExist) != isOld {
			t.Errorf("folder %d: %v", i, err)
		}
		if _, err := os.Stat(folder); i == 19 && err == nil {
			t.Error("an empty folder is left")
		}
	}
	for _, strangers := range []string{"kept/ca.pem", "0123456789abcdef/ca.pem", "fedcba9876543210/bundle.pem", filepath.Base(mixed) + "/mine"} {
		if _, err := os.Stat(filepath.Join(dir, strangers)); err != nil {
			t.Error(err)
		}
	}
}

func TestRecentFoldersStay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const many = 20
	for range many {
		files, err := trust.Write(dir, certificate(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(filepath.Dir(files.Bundle), time.Time{}, time.Now().Add(-23*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != many {
		t.Errorf("of %d folders %d are left, %v", many, len(entries), err)
	}
}

func TestWriteFails(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := trust.Write(file, certificate(t), nil); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("below a file: %v", err)
	}
}

func TestRoots(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	preferred, further := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	for file, content := range map[string]string{preferred: "preferred", further: "further"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := trust.Roots(preferred, "", filepath.Join(dir, "none"), further); string(got) != "preferred\nfurther" {
		t.Errorf("Roots = %q", got)
	}
	if got := trust.Roots(filepath.Join(dir, "none"), further); !bytes.HasSuffix(got, []byte("\nfurther")) || bytes.Contains(got, []byte("preferred")) {
		t.Errorf("Roots without the preferred file = %.40q", got)
	}
}

// A variable may also name a directory, in which OpenSSL reads only some files.
func TestRootsInDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	hashed, empty := filepath.Join(dir, "hashed"), filepath.Join(dir, "empty")
	for name, content := range map[string]string{
		"hashed/5d30f3c5.0": "first", "hashed/5d30f3c5.1": "second", "hashed/corp.pem": "unhashed", "hashed/5d30f3c5.r0": "revoked",
		"hashed/+d30f3c5.0": "sign", "hashed/README": "text", "empty/corp.pem": "unhashed",
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if got := string(trust.Roots(hashed)); got != "first\nsecond\n" {
		t.Errorf("preferred: %q", got)
	}
	if got := string(trust.Roots("", hashed, empty)); !strings.HasSuffix(got, "\nfirst\nsecond\n") {
		t.Errorf("further: %.60q", got)
	}
	if got := trust.Roots(empty); !bytes.Equal(got, trust.Roots("")) {
		t.Errorf("roots of a directory without certificates: %.60q", got)
	}
}

func TestHolds(t *testing.T) {
	t.Parallel()
	dir, own, other := t.TempDir(), certificate(t), root(t, "other")
	files, err := trust.Write(dir, own, []byte(other))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{files.Authority, files.Bundle, files.TrustStore, string(filepath.ListSeparator) + files.PHP} {
		if !trust.Holds(file, own) {
			t.Errorf("%s does not hold the authority", file)
		}
	}
	if !trust.Holds(files.Bundle, other) || trust.Holds(files.Authority, other) {
		t.Error("another root is in the bundle, and not beside the authority")
	}
	for _, file := range []string{"", filepath.Join(dir, "none"), dir} {
		if trust.Holds(file, own) {
			t.Errorf("%q holds the authority", file)
		}
	}
	if trust.Holds(files.Bundle, "") {
		t.Error("no authority at all is trusted")
	}
}
