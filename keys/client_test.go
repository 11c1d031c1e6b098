package keys_test

import (
	"crypto/tls"
	"crypto/x509"
	"testing"

	"gcp-metadata-emulator/keys"
)

// A server that verifies clients with the pool of one certificate accepts this one, and no other.
func TestClient(t *testing.T) {
	t.Parallel()
	var clients [2]*keys.Client
	var certs [2]*x509.Certificate
	for i := range clients {
		var err error
		if clients[i], err = keys.NewClient(); err != nil {
			t.Fatal(err)
		}
		pair, err := tls.X509KeyPair(clients[i].File(), clients[i].File())
		if err != nil {
			t.Fatal(err)
		}
		certs[i] = pair.Leaf
	}
	for i, client := range clients {
		for j, cert := range certs {
			_, err := cert.Verify(x509.VerifyOptions{Roots: client.Pool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
			if (err == nil) != (i == j) {
				t.Errorf("pool %d, certificate %d: %v", i, j, err)
			}
			if _, err := cert.Verify(x509.VerifyOptions{Roots: client.Pool()}); err == nil {
				t.Error("a client's certificate is one of a server")
			}
		}
	}
}
