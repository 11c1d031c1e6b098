package integration_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
)

// A name and an address that are reserved for examples. Only TestEscapesAreSeen uses them.
const (
	exampleName    = "escape.invalid"
	exampleAddress = "192.0.2.1"
)

// layTripwires listens at every port that a client looking for Google could reach in a namespace in
// which all addresses belong to this machine: the ports of HTTP and HTTPS, and the machine's name
// servers.
func layTripwires(escapes string) error {
	log, err := os.OpenFile(escapes, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	for _, port := range []string{"80", "443"} {
		listener, err := net.Listen("tcp", net.JoinHostPort("", port))
		if err != nil {
			return err
		}
		go acceptEscapes(listener, log)
	}
	for _, server := range nameServers() {
		packets, err := net.ListenPacket("udp", net.JoinHostPort(server, "53"))
		if err != nil {
			return err
		}
		go answerNoName(packets, log)
	}
	return nil
}

func acceptEscapes(listener net.Listener, log *os.File) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		fmt.Fprintln(log, "connection to", conn.LocalAddr())
		conn.Close()
	}
}

// answerNoName answers every DNS query with "no such name".
func answerNoName(packets net.PacketConn, log *os.File) {
	buffer := make([]byte, 1500)
	for {
		n, from, err := packets.ReadFrom(buffer)
		if err != nil {
			return
		}
		query := buffer[:n]
		fmt.Fprintln(log, "query for", questionName(query))
		if n < 12 {
			continue
		}
		const response, nameError = 1 << 15, 3
		flags := binary.BigEndian.Uint16(query[2:]) | response | nameError
		binary.BigEndian.PutUint16(query[2:], flags)
		_, _ = packets.WriteTo(query, from)
	}
}

// questionName reads the name in a DNS query, which follows a header of twelve bytes.
func questionName(query []byte) string {
	var labels []string
	for at := 12; at < len(query) && query[at] != 0; {
		end := at + 1 + int(query[at])
		if end > len(query) {
			break
		}
		labels = append(labels, string(query[at+1:end]))
		at = end
	}
	return strings.Join(labels, ".")
}

func nameServers() []string {
	data, _ := os.ReadFile("/etc/resolv.conf")
	var servers []string
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" || slices.Contains(servers, fields[1]) {
			continue
		}
		if !strings.Contains(fields[1], "%") { // a link-local address does not exist in the namespace
			servers = append(servers, fields[1])
		}
	}
	if len(servers) == 0 {
		return []string{"127.0.0.1"}
	}
	return servers
}

// readEscapes returns the recorded escapes so far.
func readEscapes(file string) []string {
	if file == "" {
		return nil
	}
	data, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return []string{err.Error()}
	}
	return strings.FieldsFunc(string(data), func(r rune) bool { return r == '\n' })
}

// rubyAsks is the DNS query that Ruby's URL library sends before it decides to use a proxy for
// the host.
const rubyAsks = "query for www.googleapis.com"

// knowEscape records that a test expects an attempt to leave the machine.
func knowEscape(t *testing.T, prepared stage, escape string) {
	t.Helper()
	file, err := os.OpenFile(prepared.known(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	fmt.Fprintln(file, escape)
}

// unexpected removes the attempts that tests expect, once per expectation, and the attempts that
// TestEscapesAreSeen makes on purpose.
func unexpected(escapes, known []string) []string {
	return slices.DeleteFunc(escapes, func(escape string) bool {
		if at := slices.Index(known, escape); at >= 0 {
			known = slices.Delete(known, at, at+1)
			return true
		}
		return strings.Contains(escape, exampleName) || strings.Contains(escape, exampleAddress)
	})
}

func TestEscapesAreSeen(t *testing.T) {
	file := theStage().Escapes
	if file == "" {
		skip(t, "the clients do not run in a network namespace, so nothing watches where they connect")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := net.DefaultResolver.LookupHost(ctx, exampleName)
	if notFound, ok := errors.AsType[*net.DNSError](err); !ok || !notFound.IsNotFound {
		t.Errorf("looking up %s: got %v, want that there is no such name", exampleName, err)
	}
	var dialer net.Dialer
	for _, port := range []string{"80", "443"} {
		address := net.JoinHostPort(exampleAddress, port)
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Read(make([]byte, 1)) // returns when the other side has recorded the connection
		conn.Close()
		if want := "connection to " + address; !slices.Contains(readEscapes(file), want) {
			t.Errorf("got %q, want also %q", readEscapes(file), want)
		}
	}
	if want := "query for " + exampleName; !slices.Contains(readEscapes(file), want) {
		t.Errorf("got %q, want also %q", readEscapes(file), want)
	}
}
