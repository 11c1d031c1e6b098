package proxy_test

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/proxy"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/wire"
)

// A program that does not trust the authority causes one warning, however often it comes back.
func TestDistrustIsTold(t *testing.T) {
	t.Parallel()
	ring := keys.NewRing("", time.Now)
	ring.Certify(hostname.Domains())
	logged := make(lines, 100)
	p := proxy.New(proxy.Config{
		Handler:   http.HandlerFunc(echo),
		Answers:   func(string, string, net.Addr) bool { return true },
		Authority: ring.Authority,
		Logger:    slog.New(slog.NewTextHandler(logged, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Refused:   func(*http.Request, wire.Response) {},
	})
	plain, secure := listen(t), listen(t)
	t.Cleanup(serve(p, plain))
	t.Cleanup(serve(p, p.TLS(secure)))
	tunnelled := func(program, host string) net.Conn {
		conn := dial(t, plain.Addr().String())
		fmt.Fprintf(conn, "CONNECT %s:443 HTTP/1.1\r\nHost: %[1]s:443\r\nUser-Agent: %s\r\n\r\n", host, program)
		answer := make([]byte, len("HTTP/1.1 200 Connection established\r\n\r\n"))
		if _, err := conn.Read(answer); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	handshake := func(conn net.Conn, host string, version uint16) {
		if err := tls.Client(conn, &tls.Config{ServerName: host, MinVersion: version, MaxVersion: version}).Handshake(); err == nil {
			t.Errorf("the certificate for %q is trusted", host)
		}
		_ = conn.Close()
	}
	for range 2 {
		handshake(tunnelled("pinned/1.0", "sts.googleapis.com"), "sts.googleapis.com", tls.VersionTLS13)
	}
	expect(t, logged, `host=sts.googleapis.com program=pinned/1.0`, "hint=")
	handshake(tunnelled("other/1.0", "iam.googleapis.com"), "iam.googleapis.com", tls.VersionTLS12)
	expect(t, logged, `host=iam.googleapis.com program=other/1.0`)
	for range 2 {
		handshake(dial(t, secure.Addr().String()), "www.googleapis.com", tls.VersionTLS13)
	}
	expect(t, logged, `host=www.googleapis.com program=""`)

	// a client that hangs up has not said that it does not trust anybody
	_ = dial(t, secure.Addr().String()).Close()
	if curl, err := exec.LookPath("curl"); err == nil {
		command := exec.CommandContext(t.Context(), curl, "-sS", "--max-time", "300", "--proxy", "http://"+plain.Addr().String(), "https://oauth2.googleapis.com/")
		command.Env = []string{}
		if out, err := command.CombinedOutput(); err == nil {
			t.Errorf("curl trusts the emulator: %s", out)
		}
		expect(t, logged, "host=oauth2.googleapis.com program=curl/")
	}
	select {
	case line := <-logged:
		t.Errorf("there is another warning: %s", line)
	default:
	}
}

// expect waits for a warning with all texts.
func expect(t *testing.T, logged lines, texts ...string) {
	t.Helper()
	line := <-logged
	for _, text := range append(texts, "level=WARN", "does not trust the emulator's certificates") {
		if !strings.Contains(line, text) {
			t.Errorf("%q lacks %q", line, text)
		}
	}
}
