package proxy_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/proxy"
	"gcp-metadata-emulator/server/wire"
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
		Refused:   func(*http.Request, wire.Response) {},
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

// A client is served in whatever protocols it offers: over HTTP/2 if it can, and otherwise over
// HTTP/1. Sessions are resumed in every case.
func TestProtocols(t *testing.T) {
	t.Parallel()
	e := start(t)
	const host = "iamcredentials.googleapis.com"
	paths := map[string]func() net.Conn{
		"proxy": func() net.Conn {
			conn := dial(t, e.address)
			if status, _, err := connect(conn, host+":443"); err != nil || status != http.StatusOK {
				t.Fatalf("CONNECT: %d, %v", status, err)
			}
			return conn
		},
		"listener": func() net.Conn { return dial(t, e.tls) },
	}
	for offered, want := range map[string]string{
		"":                    "",
		"h2 http/1.1":         "h2",
		"http/1.1":            "http/1.1",
		"http/1.0":            "",
		"http/1.0 http/1.1":   "http/1.1",
		"spdy/3.1 grpc-exp":   "",
		"http/0.9 smtp":       "",
		"grpc-exp h2":         "h2",
		"http/1.1 h2 unknown": "h2",
	} {
		for path, open := range paths {
			t.Run(path+" "+offered, func(t *testing.T) {
				t.Parallel()
				config := &tls.Config{
					RootCAs: e.roots, ServerName: host, NextProtos: strings.Fields(offered), MinVersion: tls.VersionTLS12,
					ClientSessionCache: tls.NewLRUClientSessionCache(1),
				}
				for _, resumed := range []bool{false, true} {
					secured := tls.Client(open(), config)
					if err := secured.Handshake(); err != nil {
						t.Fatal(err)
					}
					state := secured.ConnectionState()
					if state.NegotiatedProtocol != want || state.DidResume != resumed {
						t.Errorf("the protocol is %q, want %q; resumed: %v", state.NegotiatedProtocol, want, state.DidResume)
					}
					if want == "h2" {
						return // other tests speak it
					}
					if diff := cmp.Diff("HTTP/1.0 GET "+host+"/x", askOldStyle(t, secured, host)); diff != "" {
						t.Errorf("(-want +got):\n%s", diff)
					}
				}
			})
		}
	}
}

// askOldStyle sends a request in HTTP/1.0, and returns the beginning of echo's answer.
func askOldStyle(t *testing.T, conn net.Conn, host string) string {
	t.Helper()
	if _, err := fmt.Fprintf(conn, "GET /x HTTP/1.0\r\nHost: %s\r\n\r\n", host); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	answer, _, _ := strings.Cut(string(body), " proxied=")
	return answer
}
