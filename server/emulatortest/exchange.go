package emulatortest

import (
	"io"
	"net"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/script"
)

// Dial opens a connection that ends with the test.
func Dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn := Must[net.Conn](t)((&net.Dialer{}).DialContext(t.Context(), "tcp", address))
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// Get requests a path from the metadata server.
func (e *Emulator) Get(t *testing.T, path string) script.Answer {
	t.Helper()
	return e.Exchange(t, "GET "+path+"\nMetadata-Flavor: Google\n\n")
}

// Exchange sends a request, written as in the wire scripts, and reads the answer byte for byte.
func (e *Emulator) Exchange(t *testing.T, request string) script.Answer {
	t.Helper()
	conn := Dial(t, e.Address)
	if _, err := io.WriteString(conn, script.Raw(request, e.Address, "Connection: close")); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	return Must[script.Answer](t)(script.ReadAnswer(conn, method))
}
