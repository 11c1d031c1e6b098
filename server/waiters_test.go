package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/mds"
)

// hall is a number of connections whose requests wait for a change of an attribute.
type hall struct {
	*emulatortest.Emulator

	conns   []net.Conn
	readers []*bufio.Reader
	stop    context.CancelFunc // ends the server
	ended   chan error         // the result of the server
}

const awaited = "/computeMetadata/v1/instance/attributes/?recursive=true&wait_for_change=true"

// gather connects clients to an emulator.
func gather(t *testing.T, size int) *hall {
	t.Helper()
	c := &hall{Emulator: emulatortest.New(t), ended: make(chan error, 1)}
	listener := emulatortest.Must[net.Listener](t)((&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0"))
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	c.stop = stop
	go func() { c.ended <- c.Serve(ctx, listener) }()
	const little = 16 // the clients' buffers are not measured
	for range size {
		conn := emulatortest.Dial(t, listener.Addr().String())
		c.conns, c.readers = append(c.conns, conn), append(c.readers, bufio.NewReaderSize(conn, little))
	}
	return c
}

// wait has all clients wait.
func (c *hall) wait(t *testing.T) {
	t.Helper()
	for _, conn := range c.conns {
		if _, err := io.WriteString(conn, "GET "+awaited+" HTTP/1.1\r\nHost: metadata.google.internal\r\nMetadata-Flavor: Google\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.AwaitWaiter(t.Context(), func(mds.Waiter) bool { return len(c.Waiters()) == len(c.conns) }); err != nil {
		t.Fatal(err)
	}
}

// change changes the attribute, and checks that all clients are told.
func (c *hall) change(t *testing.T, value string) {
	t.Helper()
	c.Call(t, http.MethodPut, "/emulator/v1/instances/-/metadata/instance/attributes/awaited", fmt.Sprintf(`{"value": %q}`, value))
	c.answered(t, value)
}

// answered checks the answers of all clients.
func (c *hall) answered(t *testing.T, value string) {
	t.Helper()
	for _, reader := range c.readers {
		status, body := answerIn(t, reader)
		if status != http.StatusOK || !strings.Contains(body, value) {
			t.Fatalf("status %d, %q; want the value %q", status, body, value)
		}
	}
}

func answerIn(t *testing.T, reader *bufio.Reader) (status int, body string) {
	t.Helper()
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode, string(emulatortest.Must[[]byte](t)(io.ReadAll(response.Body)))
}

// memory returns the memory in use.
func memory() uint64 {
	runtime.GC()
	runtime.GC() // the first one empties pools for the second, and shrinks stacks
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapInuse + stats.StackInuse
}

// A waiting request takes less than half of its memory in net/http (28 to 31 kB), with or without
// earlier answers on its connection. The clients' ends are counted too, at about 1 kB.
func TestWaitersTakeLittleMemory(t *testing.T) { //nolint:paralleltest // measures the memory of the process
	const (
		clients = 2000
		most    = 15_000
	)
	before := memory()
	c := gather(t, clients)
	for _, when := range []string{"on a new connection", "on a used connection", "on the same connection again"} {
		c.wait(t)
		each := (memory() - before) / clients
		t.Logf("a request that waits takes %d bytes %s", each, when)
		if each > most && ofRace == 0 {
			t.Errorf("a request that waits takes %d bytes %s, want at most %d", each, when, most)
		}
		c.change(t, when)
	}
}

// A request that has waited is recorded when it is answered, and counts the time of the wait.
func TestWaitIsRecorded(t *testing.T) {
	t.Parallel()
	c := gather(t, 3)
	c.wait(t)
	begun := time.Now()
	if err := errors.Join(c.conns[0].(*net.TCPConn).SetLinger(0), c.conns[0].Close()); err != nil { // hangs up
		t.Fatal(err)
	}
	c.conns, c.readers = c.conns[1:], c.readers[1:]
	snapshot := c.Journal.Since(0)
	for len(waitsIn(snapshot)) == 0 {
		select {
		case <-snapshot.Changed:
		case <-t.Context().Done():
			t.Fatal("the request of a client that hangs up is never recorded")
		}
		snapshot = c.Journal.Since(0)
	}
	if gone := waitsIn(snapshot)[0]; gone.Status != 0 || len(c.Waiters()) != 2 {
		t.Errorf("after a client has hung up: %+v, and %d requests wait", gone, len(c.Waiters()))
	}
	waited := time.Since(begun)
	c.change(t, "recorded")
	waits := waitsIn(c.Journal.Since(0))[1:]
	if len(waits) != 2 {
		t.Errorf("%d answers are recorded, want 2", len(waits))
	}
	for _, e := range waits {
		if e.Status != http.StatusOK || e.Instance != "demo-vm" || e.Bytes == 0 || time.Duration(e.Duration) < waited {
			t.Errorf("recorded after more than %v: %+v", waited, e)
		}
	}
}

// waitsIn returns the recorded requests that have waited.
func waitsIn(snapshot journal.Snapshot) (waits []journal.Exchange) {
	for _, e := range snapshot.Exchanges {
		if e.Path == awaited {
			waits = append(waits, e)
		}
	}
	return waits
}

// If a server stops, it answers all waiting requests, and then closes their connections.
func TestStopAnswersWaiters(t *testing.T) {
	t.Parallel()
	c := gather(t, 500)
	c.wait(t)
	c.change(t, "before")
	c.wait(t)
	c.stop()
	c.answered(t, "before")
	for _, reader := range c.readers {
		if _, err := reader.ReadByte(); !errors.Is(err, io.EOF) {
			t.Fatalf("after the last answer: %v", err)
		}
	}
	if err := <-c.ended; err != nil {
		t.Error(err)
	}
}
