package server_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/world"
)

// The time that a server needs to stop does not grow with the number of clients that read nothing. The
// time is synthetic, so the load of the machine does not count.
func TestStoppingIsPrompt(t *testing.T) {
	t.Parallel()
	const clients, limit = 500, time.Second
	for name, target := range map[string]string{
		"answers that nobody reads":                         "/computeMetadata/v1/?recursive=true",
		"requests that wait, and whose clients do not read": awaited,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				emulator := server.New(server.Config{
					World: world.New(fixtures.Default()), Keys: keys.NewRing("", time.Now), Clock: clock.New(time.Now), Logger: slog.New(slog.DiscardHandler),
					ShutdownTimeout: time.Hour,
				})
				listener := make(pipes)
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- emulator.Serve(ctx, listener) }()
				for range clients {
					client, there := net.Pipe()
					listener <- there
					if _, err := fmt.Fprintf(client, "GET %s HTTP/1.1\r\nHost: metadata\r\nMetadata-Flavor: Google\r\n\r\n", target); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait() // until all answers are being written, or all requests wait
				if got := len(emulator.Waiters()); target == awaited && got != clients {
					t.Fatalf("%d requests wait, want %d", got, clients)
				}
				begun := time.Now()
				stop()
				if err := <-ended; err != nil || time.Since(begun) > limit {
					t.Errorf("stopped after %v: %v", time.Since(begun), err)
				}
				t.Logf("stopped after %v", time.Since(begun))
			})
		})
	}
}
