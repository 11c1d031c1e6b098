package trust_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
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
	own, first, second := certificate(t), certificate(t), certificate(t)
	roots := "# a comment\n" + first + second + first + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
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
		t.Errorf("there are %v, %v", entries, err)
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

	other, err := trust.Write(dir, own, nil)
	if err != nil || other.Bundle == files.Bundle || string(read(t, other.Bundle)) != own {
		t.Errorf("without roots: %v, %v", other, err)
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

func TestHolds(t *testing.T) {
	t.Parallel()
	dir, own, other := t.TempDir(), certificate(t), certificate(t)
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
