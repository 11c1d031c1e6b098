package keys_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// keptAuthority makes an authority, and returns its directory, its file and what the file contains.
func keptAuthority(t *testing.T) (dir, file string, data []byte) {
	t.Helper()
	dir = t.TempDir()
	_ = authority(t, certifier(t, dir, time.Now))
	file = filepath.Join(dir, "ca", "1.pem")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return dir, file, data
}

// An authority with weaker constraints is not used, even if there is no other.
func TestLaxAuthorityIsReplaced(t *testing.T) {
	t.Parallel()
	for name, relax := range map[string]func(root, issuer *x509.Certificate){
		"any URI":            func(root, _ *x509.Certificate) { root.PermittedURIDomains = nil },
		"any e-mail address": func(root, _ *x509.Certificate) { root.PermittedEmailAddresses = nil },
		"a further domain": func(root, _ *x509.Certificate) {
			root.PermittedDNSDomains = append(root.PermittedDNSDomains, "example.com")
		},
		"names below a host": func(root, _ *x509.Certificate) { root.ExcludedDNSDomains = nil },
		"any subject":        func(_, issuer *x509.Certificate) { issuer.ExtraExtensions = nil },
	} {
		dir, file, data := keptAuthority(t)
		rootBlock, rest := pem.Decode(data)
		issuerBlock, keyPEM := pem.Decode(rest)
		issuer, key := parsePair(t, issuerBlock.Bytes, keyPEM)
		root, err := x509.ParseCertificate(rootBlock.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		issuer.ExtraExtensions = issuer.Extensions
		relax(root, issuer)
		rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		root.SubjectKeyId, root.PublicKey = nil, rootKey.Public()
		rootDER, err := x509.CreateCertificate(rand.Reader, root, root, rootKey.Public(), rootKey)
		if err != nil {
			t.Fatal(err)
		}
		if root, err = x509.ParseCertificate(rootDER); err != nil {
			t.Fatal(err)
		}
		issuer.AuthorityKeyId = nil
		issuer.ExtraExtensions = slices.DeleteFunc(slices.Clone(issuer.ExtraExtensions), func(e pkix.Extension) bool { return !e.Id.Equal([]int{2, 5, 29, 30}) })
		issuerDER, err := x509.CreateCertificate(rand.Reader, issuer, root, key.Public(), rootKey)
		if err != nil {
			t.Fatal(err)
		}
		lax := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER})
		content := slices.Concat(lax, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issuerDER}), keyPEM)
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := authority(t, certifier(t, dir, time.Now)).Certificate(); got == string(lax) {
			t.Errorf("an authority for %s was used", name)
		}
	}
}

// An authority of an earlier version, whose root signs certificates itself, gives way to a new one, and
// its file stays.
func TestAuthorityWithoutAnIssuerIsReplaced(t *testing.T) {
	t.Parallel()
	dir, file, data := keptAuthority(t)
	_, rest := pem.Decode(data)
	block, keyPEM := pem.Decode(rest)
	cert, key := parsePair(t, block.Bytes, keyPEM)
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	alone := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), keyPEM...)
	if err := os.WriteFile(file, alone, 0o600); err != nil {
		t.Fatal(err)
	}
	var told []error
	ring := certifier(t, dir, time.Now)
	ring.ReportTrouble(func(trouble error) { told = append(told, trouble) })
	second := authority(t, ring)
	if len(told) != 1 || !strings.Contains(told[0].Error(), file) {
		t.Errorf("the notice is %v", told)
	}
	if again := authority(t, certifier(t, dir, time.Now)); again.Certificate() != second.Certificate() {
		t.Error("there is a new authority at every start")
	}
	if kept, err := os.ReadFile(file); err != nil || !strings.HasSuffix(string(kept), string(alone)) {
		t.Errorf("the earlier authority was changed: %v", err)
	}
	_ = leaf(t, second, "sts.googleapis.com")
}
