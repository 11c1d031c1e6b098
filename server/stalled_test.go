package server_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/world/worldtest"
)

// A server that stops does not wait for clients that do not read, although it would wait an hour for
// other requests.
func TestStoppingDoesNotWaitForClientsThatDoNotRead(t *testing.T) {
	t.Parallel()
	for name, secured := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := emulatortest.NewOf(t, fixtures.Files{Fixture: worldtest.Testdata(t, "ingress.yaml")}, func(config *server.Config) {
				config.ShutdownTimeout = time.Hour
			})
			begun, cut := make(chan struct{}), make(chan error, 1)
			e.HandleService("open", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				close(begun)
				var err error
				for err == nil {
					_, err = io.WriteString(w, strings.Repeat("x", 1<<20))
				}
				cut <- err
			}))
			listener := emulatortest.Must[net.Listener](t)((&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0"))
			address := listener.Addr().String()
			conn := emulatortest.Dial(t, address)
			if secured {
				listener = e.TLS(listener)
				conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the certificate is not what is tested
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- e.ServeDoor(ctx, listener, "open") }()
			if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", address); err != nil {
				t.Fatal(err)
			}
			<-begun
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if err := <-cut; err == nil {
				t.Error("the answer has no end")
			}
		})
	}
}
