package proxy_test

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/proxy"
)

// lines is a log; tests can wait for its lines.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

// Without an authority, TLS fails, and the log has the reason.
func TestNoAuthority(t *testing.T) {
	t.Parallel()
	logged := make(lines, 1)
	p := proxy.New(proxy.Config{
		Handler:   http.HandlerFunc(echo),
		Answers:   func(string, string, net.Addr) bool { return true },
		Authority: func() (*keys.Authority, error) { return nil, errors.New("the file is damaged") },
		Logger:    slog.New(slog.NewTextHandler(logged, nil)),
	})
	listener := listen(t)
	t.Cleanup(serve(p, listener))
	conn := dial(t, listener.Addr().String())
	if status, _, err := connect(conn, "metadata:443"); err != nil || status != http.StatusOK {
		t.Fatalf("%d, %v", status, err)
	}
	if err := tls.Client(conn, &tls.Config{ServerName: "metadata", MinVersion: tls.VersionTLS12}).Handshake(); err == nil {
		t.Error("got a certificate without an authority")
	}
	if text := <-logged; !strings.Contains(text, "level=ERROR") || !strings.Contains(text, "the file is damaged") {
		t.Errorf("logged %q", text)
	}
}
