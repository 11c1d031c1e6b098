package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/world"
)

// pipes is a listener with connections in memory, so that the test can use synthetic time.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if conn, ok := <-p; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}

func (p pipes) Close() error {
	close(p)
	return nil
}

func (pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8254} }

// An unused tunnel is closed sooner than an unused plain connection, to make room for other tunnels.
func TestIdleConnections(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		requests []string
		idle     time.Duration
	}{
		"plain":  {[]string{"GET /"}, 10 * time.Minute},
		"tunnel": {[]string{"CONNECT metadata:80", "GET /"}, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				emulator := server.New(server.Config{
					World: world.New(fixtures.Default()), Keys: keys.NewRing("", time.Now), Clock: clock.New(time.Now), Logger: slog.New(slog.DiscardHandler),
				})
				listener := make(pipes)
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- emulator.Serve(ctx, listener) }()
				conn, there := net.Pipe()
				listener <- there
				reader := bufio.NewReader(conn)
				for _, request := range test.requests {
					fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: metadata\r\nMetadata-Flavor: Google\r\n\r\n", request)
					response, err := http.ReadResponse(reader, &http.Request{Method: strings.Fields(request)[0]})
					if err != nil || response.StatusCode != http.StatusOK {
						t.Fatalf("%s: %v, %v", request, response, err)
					}
					if request == "GET /" {
						_, _ = io.Copy(io.Discard, response.Body)
					}
					response.Body.Close()
				}
				begun := time.Now()
				_, _ = reader.ReadByte()
				if took := time.Since(begun); took != test.idle {
					t.Errorf("closed after %v, want %v", took, test.idle)
				}
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
