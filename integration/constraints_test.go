package integration_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/trust"
)

// thief has stolen the key of an emulator's authority.
type thief struct {
	issuer *x509.Certificate
	key    any
}

// steal reads the newest authority of a state directory.
func steal(t *testing.T, dir string) thief {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, keys.AuthorityFolder, "1.pem"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest := pem.Decode(data)
	certificate, rest := pem.Decode(rest)
	private, _ := pem.Decode(rest)
	var stolen thief
	if stolen.issuer, err = x509.ParseCertificate(certificate.Bytes); err != nil {
		t.Fatal(err)
	}
	if stolen.key, err = x509.ParsePKCS8PrivateKey(private.Bytes); err != nil {
		t.Fatal(err)
	}
	return stolen
}

// forge returns a certificate for a server that the thief has signed.
func (f thief) forge(t *testing.T, subject pkix.Name, names ...string) tls.Certificate {
	t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: subject, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, f.issuer, own.Public(), f.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der, f.issuer.Raw}, PrivateKey: own}
}

// serveWith serves with a certificate, and returns the port.
func serveWith(t *testing.T, certificate tls.Certificate) string {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "fooled") })}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// Java obeys the constraints of the authority, so that its stolen key is good for the emulator's names
// only. Java takes the common name of a certificate without other names for the name of the server.
func TestJavaObeysTheConstraints(t *testing.T) {
	t.Parallel()
	javac := lookPath(t, "javac", "javac is not installed:")
	java := lookPath(t, "java", "java is not installed:")
	dir := t.TempDir()
	if output, err := exec.Command(javac, "-d", dir, "clients/java/Fetch.java").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	ring := keys.NewRing(dir, time.Now)
	t.Cleanup(ring.Wait)
	ring.Certify(hostname.Domains())
	authority, err := ring.Authority()
	if err != nil {
		t.Fatal(err)
	}
	files, err := trust.Write(filepath.Join(dir, "trust"), authority.Certificate(), nil)
	if err != nil {
		t.Fatal(err)
	}
	hosts := filepath.Join(dir, "hosts")
	if err := os.WriteFile(hosts, []byte("127.0.0.1 sts.googleapis.com example.com\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	stolen := steal(t, dir)
	for name, test := range map[string]struct {
		certificate tls.Certificate
		host, says  string
	}{
		"a name of the emulator":       {stolen.forge(t, pkix.Name{}, "sts.googleapis.com"), "sts.googleapis.com", "fooled"},
		"another name":                 {stolen.forge(t, pkix.Name{}, "example.com"), "example.com", "name constraints"},
		"another name beside its own":  {stolen.forge(t, pkix.Name{}, "sts.googleapis.com", "example.com"), "example.com", "name constraints"},
		"another name as common name":  {stolen.forge(t, pkix.Name{CommonName: "example.com"}), "example.com", "name constraints"},
		"the same in our organization": {stolen.forge(t, pkix.Name{Organization: []string{"gcp-metadata-emulator"}, CommonName: "example.com"}), "example.com", "name constraints"},
	} {
		url := "https://" + test.host + ":" + serveWith(t, test.certificate) + "/"
		output, _ := exec.Command(java, "-cp", dir, "-Djdk.net.hosts.file="+hosts, //nolint:gosec // the test's own program
			"-Djavax.net.ssl.trustStore="+files.TrustStore, "-Djavax.net.ssl.trustStorePassword="+trust.Password, "Fetch", url).CombinedOutput()
		if !strings.Contains(string(output), test.says) {
			t.Errorf("%s: Java does not say %q:\n%s", name, test.says, output)
		}
	}
}
