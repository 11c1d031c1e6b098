package cli_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/fixtures"
)

// A process that gets SIGTERM ends, with the exit code 0, although clients read nothing: half of them
// leave long answers unread, and half wait for a change.
func TestStopWithSilentClients(t *testing.T) {
	t.Parallel()
	clients := sized(t, "GCP_METADATA_EMULATOR_CLIENTS", 10)
	emulator := startServing(t, "--fixture", longWorld(t))
	const beyondBuffers = 64 // as many answers take 16 MiB
	for i := range clients {
		if i%2 == 0 {
			silent(t, emulator.url, "project/attributes/long", beyondBuffers)
		} else {
			silent(t, emulator.url, "instance/zone?wait_for_change=true", 1)
		}
	}
	awaitWaiters(t, emulator.url, clients/2)
	begun := time.Now()
	emulator.end()
	t.Logf("%d clients that read nothing: %v from SIGTERM to the end of the process", clients, time.Since(begun).Round(time.Millisecond))
}

// longWorld returns a fixture with long metadata.
func longWorld(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "world.yaml")
	text := "project: {attributes: {long: " + strings.Repeat("x", fixtures.MaxAttribute) + "}}"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// silent sends a request several times, reads no answer, and keeps the connection until the test ends.
func silent(t *testing.T, url, path string, times int) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	request := "GET /computeMetadata/v1/" + path + " HTTP/1.1\r\nHost: localhost\r\nMetadata-Flavor: Google\r\n\r\n"
	if _, err := io.WriteString(conn, strings.Repeat(request, times)); err != nil {
		t.Fatal(err)
	}
}

// awaitWaiters returns when a number of requests wait for a change.
func awaitWaiters(t *testing.T, url string, want int) {
	t.Helper()
	for {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/emulator/v1/waiters?limit=1", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Count int `json:"count"`
		}
		err = json.NewDecoder(response.Body).Decode(&got)
		_ = response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if got.Count == want {
			return
		}
	}
}
