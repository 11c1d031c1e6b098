package emulatortest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Answer is a response with its exact bytes.
type Answer struct {
	Status  int
	Headers []string // "Name: value", with the case of the names
	Body    string
}

// Header returns the value of a header, whatever the case of its name.
func (a Answer) Header(name string) (string, bool) {
	for _, line := range a.Headers {
		if key, value, _ := strings.Cut(line, ": "); strings.EqualFold(key, name) {
			return value, true
		}
	}
	return "", false
}

// Dial opens a connection that ends with the test.
func Dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn := Must[net.Conn](t)((&net.Dialer{}).DialContext(t.Context(), "tcp", address))
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// Get requests a path from the metadata server.
func (e *Emulator) Get(t *testing.T, path string) Answer {
	t.Helper()
	return e.Exchange(t, "GET "+path+"\nMetadata-Flavor: Google\n\n")
}

// Exchange sends a request, written as in the wire scripts, and reads the answer byte for byte.
func (e *Emulator) Exchange(t *testing.T, script string) Answer {
	t.Helper()
	conn := Dial(t, e.Address)
	if _, err := io.WriteString(conn, rawRequest(script, e.Address)); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	status := Must[string](t)(reader.ReadString('\n'))
	var got Answer
	if _, err := fmt.Sscanf(status, "HTTP/1.1 %d", &got.Status); err != nil {
		t.Fatalf("status line %q: %v", status, err)
	}
	lines := textproto.NewReader(reader)
	for line := Must[string](t)(lines.ReadLine()); line != ""; line = Must[string](t)(lines.ReadLine()) {
		got.Headers = append(got.Headers, line)
	}
	body, err := io.ReadAll(reader)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	got.Body = string(body)
	return got
}

// rawRequest completes the request of a script with a Host, the length of the body, and Connection:
// close, so that the end of the connection ends the answer.
func rawRequest(script, host string) string {
	head, body, _ := strings.Cut(script, "\n\n")
	body = strings.TrimSuffix(body, "\n")
	lines := strings.Split(strings.TrimSuffix(head, "\n"), "\n")
	raw := []string{lines[0] + " HTTP/1.1"}
	if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, "Host:") }) {
		raw = append(raw, "Host: "+host)
	}
	raw = append(raw, lines[1:]...)
	if body != "" {
		raw = append(raw, "Content-Length: "+strconv.Itoa(len(body)))
	}
	return strings.Join(append(raw, "Connection: close", "", body), "\r\n")
}
