package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/world"
)

func TestMain(m *testing.M) {
	// Two goroutines generate keys at a time, and the generation of the second key is not interrupted.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("gcp-metadata-emulator/keys.(*pool).work"))
}

// patience limits a wait that would otherwise have no end. It is far longer than any step takes on a
// busy machine.
const patience = 5 * time.Minute

// serving is a server on a listener. stop stops it and returns the result of Serve.
func serving(t *testing.T) (base string, stop func() error) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	emulator := server.New(server.Config{
		World: world.New(fixtures.Default()), Keys: keys.NewRing("", time.Now), Clock: clock.New(time.Now), Logger: slog.New(slog.DiscardHandler),
		ShutdownTimeout: time.Hour, // a request that delayed the end would do so for longer than a test may take
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- emulator.Serve(ctx, listener) }()
	return listener.Addr().String(), func() error { cancel(); return <-ended }
}

// When the server stops, a request that waits for a change gets the present value, and does not delay
// the server.
func TestShutdownEndsParkedRequests(t *testing.T) {
	address, stop := serving(t)
	conn := emulatortest.Dial(t, address)
	fmt.Fprintf(conn, "GET /computeMetadata/v1/instance/maintenance-event?wait_for_change=true HTTP/1.1\r\nHost: localhost\r\nMetadata-Flavor: Google\r\n\r\n")
	reader := bufio.NewReader(conn)
	awaitWaiters(t, address, 1)
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Errorf("Serve = %v", err)
	}
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusOK || string(body) != "NONE" {
		t.Errorf("answer is %d %q, %v", response.StatusCode, body, err)
	}
}

// A request stops waiting when its client leaves.
func TestWaiterGoesWithItsClient(t *testing.T) {
	address, stop := serving(t)
	defer func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}()
	var conns []net.Conn
	for range 2 {
		conn := emulatortest.Dial(t, address)
		fmt.Fprintf(conn, "GET /computeMetadata/v1/instance/tags?wait_for_change=true HTTP/1.1\r\nHost: localhost\r\nMetadata-Flavor: Google\r\n\r\n")
		conns = append(conns, conn)
	}
	awaitWaiters(t, address, 2)
	if err := conns[0].Close(); err != nil {
		t.Fatal(err)
	}
	awaitWaiters(t, address, 1)
	if err := conns[1].Close(); err != nil {
		t.Fatal(err)
	}
	awaitWaiters(t, address, 0)
}

// awaitWaiters polls until the expected number of requests wait.
func awaitWaiters(t *testing.T, address string, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn := emulatortest.Dial(t, address)
	reader := bufio.NewReader(conn)
	for {
		fmt.Fprintf(conn, "GET /emulator/v1/waiters HTTP/1.1\r\nHost: localhost\r\n\r\n")
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Count(string(body), `"path":`)
		if got == want {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%d requests wait, want %d", got, want)
		}
	}
}

// If an advance of the clock makes the keys expire, readyz makes the emulator generate new keys.
func TestReadyAfterAJump(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := emulatortest.Unserved(t, "")
		for range 2 {
			for _, want := range []int{http.StatusServiceUnavailable, http.StatusOK} {
				if got := emulatortest.Send(t.Context(), s, http.MethodGet, "/emulator/v1/readyz", ""); got.Code != want {
					t.Errorf("status %d, want %d", got.Code, want)
				}
				synctest.Wait()
			}
			if err := s.Clock.Advance(8760 * time.Hour); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// The emulator serves metadata before it has a key, and requests that need a key wait for it.
func TestMetadataNeedsNoKey(t *testing.T) {
	address, stop := serving(t)
	defer func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(path string) (int, string) { return emulatortest.Fetch(t, client, "http://"+address+path, "") }
	if status, _ := get("/emulator/v1/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("readyz: status %d before the first key exists", status)
	}
	if status, body := get("/computeMetadata/v1/project/project-id"); status != http.StatusOK || body != "demo-project" {
		t.Errorf("metadata: %d %q", status, body)
	}
	if status, body := get("/computeMetadata/v1/instance/service-accounts/default/identity?audience=x"); status != http.StatusOK || strings.Count(body, ".") != 2 {
		t.Errorf("identity: %d %q", status, body)
	}
	if status, _ := get("/emulator/v1/readyz"); status != http.StatusOK {
		t.Errorf("readyz: status %d although a key exists", status)
	}
}

// A client that forgets the header must connect again, as with Google's server.
func TestRefusalEndsConnection(t *testing.T) {
	address, stop := serving(t)
	conn := emulatortest.Dial(t, address)
	fmt.Fprintf(conn, "GET /computeMetadata/v1/instance/name HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.Contains(string(answer), "Connection: close\r\n") || !strings.HasSuffix(string(answer), "know.</ins>\n") {
		t.Errorf("connection ends with %v after %q", err, answer)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// A connection without a request does not delay the end of the server.
func TestShutdownEndsUnusedConnections(t *testing.T) {
	address, stop := serving(t)
	_ = emulatortest.Dial(t, address)
	// The answer on a second connection shows that the server has accepted the first connection.
	other := emulatortest.Dial(t, address)
	fmt.Fprintf(other, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	if _, err := io.ReadAll(other); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Errorf("Serve = %v", err)
	}
}

// A stream ends when the server stops, and does not delay the end.
func TestShutdownEndsStreams(t *testing.T) {
	address, stop := serving(t)
	conn := emulatortest.Dial(t, address)
	fmt.Fprintf(conn, "GET /emulator/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := stop(); err != nil {
		t.Errorf("Serve = %v", err)
	}
	if _, err := io.ReadAll(response.Body); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}
