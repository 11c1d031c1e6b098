package park_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/park"
)

// pending is a request that waits for a release, and looks once in vain before.
type pending struct {
	*rig

	looked bool
	cause  error
}

func (p *pending) Await(ctx context.Context) {
	if !p.looked {
		return
	}
	p.begun <- struct{}{}
	select {
	case <-p.release:
	case <-ctx.Done():
		p.cause = context.Cause(ctx)
	}
	if p.trouble != nil {
		panic(p.trouble)
	}
}

func (p *pending) Answer(*http.Request) http.Handler {
	if !p.looked {
		p.looked = true
		return nil
	}
	p.ended <- p.cause
	return p.answer
}

// rig is a server with a handler whose requests wait. Other tests than those of the lot have none.
type rig struct {
	*http.Server

	lot     *park.Lot
	answer  http.Handler
	trouble any // the panic of a wait; nil: none

	begun   chan struct{}
	release chan struct{}
	ended   chan error // causes of the ends of waits; nil for a release
	parked  atomic.Int64
}

var errStop = errors.New("stop")

// newRig returns a server without a listener. Requests for "/wait" wait; other paths are answered with
// themselves. stop ends the context of the lot.
func newRig(t *testing.T) (r *rig, stop func()) {
	t.Helper()
	r = &rig{begun: make(chan struct{}, 1000), release: make(chan struct{}), ended: make(chan error, 1000)}
	r.answer = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "changed") })
	r.Server = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
			w.Header().Set("Date", "Sat, 21 Nov 2026 12:00:00 GMT")
			if request.URL.Path == "/wait" {
				park.Wait(w, request, &pending{rig: r})
				return
			}
			_, _ = io.WriteString(w, request.URL.Path)
		}),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateHijacked {
				r.parked.Add(1)
			}
		},
		ReadHeaderTimeout: time.Minute,
		IdleTimeout:       time.Hour,
		ErrorLog:          log.New(t.Output(), "", 0),
	}
	serving, cancel := context.WithCancelCause(context.WithoutCancel(t.Context()))
	r.lot = park.New(serving, r.Server, &net.TCPAddr{})
	return r, func() { cancel(errStop) }
}

// serve serves until the test ends.
func (r *rig) serve(t *testing.T) (address string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []net.Listener{listener, r.lot} {
		go func() { _ = r.Serve(l) }()
	}
	t.Cleanup(func() { _ = r.Close() })
	return listener.Addr().String()
}

func dial(t *testing.T, address, request string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	return conn
}

const (
	get  = "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"
	last = "GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
)

// A client gets the same bytes, whether its connection is parked or stays with its server.
func TestSameBytes(t *testing.T) {
	t.Parallel()
	text := func(status int, body string, fields ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Date"] = []string{"Sat, 21 Nov 2026 12:00:00 GMT"}
			for i := 0; i < len(fields); i += 2 {
				w.Header()[fields[i]] = append(w.Header()[fields[i]], fields[i+1])
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	short := text(http.StatusOK, "changed", "ETag", "1", "Content-Type", "application/text")
	for name, test := range map[string]struct {
		request, during, after string
		answer                 http.HandlerFunc
	}{
		"GET":                   {get, "", last, short},
		"HEAD":                  {"HEAD /wait HTTP/1.1\r\nHost: x\r\n\r\n", "", last, short},
		"unusual method":        {"FIND /wait HTTP/1.1\r\nHost: x\r\n\r\n", "", last, short},
		"not found":             {get, "", last, text(http.StatusNotFound, "no <b>entry")},
		"no content":            {get, "", last, text(http.StatusNoContent, "")},
		"not modified":          {get, "", last, text(http.StatusNotModified, "")},
		"empty":                 {get, "", last, text(http.StatusOK, "")},
		"in chunks":             {get, "", last, text(http.StatusOK, strings.Repeat("0123456789", 1000))},
		"long":                  {get, "", last, text(http.StatusOK, strings.Repeat("0123456789", 1000), "Content-Length", "10000")},
		"closing answer":        {get, "", "", text(http.StatusOK, "bye", "Connection", "close")},
		"closing client":        {last[:4] + "/wait" + last[9:], "", "", short},
		"closing, in two words": {"GET /wait HTTP/1.1\r\nHost: x\r\nConnection: x\r\nConnection: a, close\r\n\r\n", "", "", short},
		"HTTP/1.0":              {"GET /wait HTTP/1.0\r\n\r\n", "", "", short},
		"HTTP/1.0, kept":        {"GET /wait HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "", last, short},
		"next at once":          {get + "GET /next HTTP/1.1\r\nHost: x\r\n\r\n", "", last, short},
		"next while waiting":    {get, "GET /next HTTP/1.1\r\nHost: x\r\n\r\n", last, short},
		"half a request":        {get + "GET /next HT", "TP/1.1\r\nHost: x\r\n", "\r\n" + last, short},
		"bad request":           {get, "", "GET / HTTP/1.1\r\n\r\n", short},
		"end of the client":     {get, "end", "", short},
		"abort":                 {get, "", "", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answers := map[bool]string{}
			for _, parks := range []bool{true, false} {
				rig, _ := newRig(t)
				rig.answer = test.answer
				if !parks {
					handler := rig.Handler
					rig.Handler = http.HandlerFunc(handler.ServeHTTP) // hides the lot
				}
				conn := dial(t, rig.serve(t), test.request)
				<-rig.begun
				send(t, conn, test.during)
				if test.during != "end" {
					rig.release <- struct{}{}
				}
				<-rig.ended
				send(t, conn, test.after)
				answer, err := io.ReadAll(conn)
				if err != nil {
					t.Fatal(err)
				}
				answers[parks] = string(answer)
				if isParked := rig.parked.Load() > 0; isParked != parks {
					t.Errorf("the connection is parked: %v, want %v", isParked, parks)
				}
			}
			if diff := cmp.Diff(answers[false], answers[true]); diff != "" {
				t.Errorf("the answers of a server and of its lot differ (-server +lot):\n%s", diff)
			}
		})
	}
}

// send writes to a connection, or ends it if the text is "end".
func send(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if text == "" {
		return // the server may have closed the connection
	}
	if text == "end" {
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		return
	}
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

// A connection can be parked any number of times.
func TestAgain(t *testing.T) {
	t.Parallel()
	rig, _ := newRig(t)
	conn := dial(t, rig.serve(t), "")
	reader := bufio.NewReader(conn)
	for i := range 5 {
		for _, path := range []string{"/wait", "/other"} {
			send(t, conn, fmt.Sprintf("GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path))
			want := path
			if path == "/wait" {
				<-rig.begun
				rig.release <- struct{}{}
				want = "changed"
			}
			if got := body(t, reader); got != want {
				t.Fatalf("answer %d is %q, want %q", i, got, want)
			}
		}
	}
	if got := rig.parked.Load(); got != 5 {
		t.Errorf("the connection was parked %d times, want 5", got)
	}
}

func body(t *testing.T, reader *bufio.Reader) string {
	t.Helper()
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// A wait ends when its client has gone.
func TestGone(t *testing.T) {
	t.Parallel()
	rig, _ := newRig(t)
	conn := dial(t, rig.serve(t), get)
	<-rig.begun
	if err := errors.Join(conn.(*net.TCPConn).SetLinger(0), conn.Close()); err != nil {
		t.Fatal(err)
	}
	if cause := <-rig.ended; !errors.Is(cause, context.Canceled) {
		t.Errorf("the wait ends because of: %v", cause)
	}
}

// A server that stops answers the requests that wait, and leaves no connection open.
func TestStop(t *testing.T) {
	t.Parallel()
	rig, stop := newRig(t)
	address := rig.serve(t)
	idle := bufio.NewReader(dial(t, address, get))
	<-rig.begun
	rig.release <- struct{}{}
	<-rig.ended
	body(t, idle)
	const clients = 200
	var readers []*bufio.Reader
	for range clients {
		readers = append(readers, bufio.NewReader(dial(t, address, get)))
		<-rig.begun
	}

	stop()
	rig.lot.Drain(t.Context())
	if err := rig.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	for i, reader := range append(readers, idle) {
		if i < clients {
			if cause := <-rig.ended; !errors.Is(cause, errStop) {
				t.Errorf("a wait ends because of: %v", cause)
			}
			if got := body(t, reader); got != "changed" {
				t.Errorf("the answer is %q", got)
			}
		}
		if _, err := reader.ReadByte(); !errors.Is(err, io.EOF) {
			t.Errorf("after the answer: %v", err)
		}
	}
	if got := rig.parked.Load(); got != clients+1 {
		t.Errorf("%d connections were parked, want %d", got, clients+1)
	}
}

// Requests that come when the server stops do not wait, and stay with it.
func TestTooLate(t *testing.T) {
	t.Parallel()
	rig, stop := newRig(t)
	stop()
	rig.lot.Drain(t.Context())
	conn := dial(t, rig.serve(t), "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
	<-rig.begun
	rig.release <- struct{}{} // the context of a request is the server's, and not the lot's
	if got := body(t, bufio.NewReader(conn)); got != "changed" || rig.parked.Load() != 0 {
		t.Errorf("the answer is %q, and %d connections were parked", got, rig.parked.Load())
	}
}

// A request with a body stays with its server.
func TestBody(t *testing.T) {
	t.Parallel()
	rig, _ := newRig(t)
	conn := dial(t, rig.serve(t), "GET /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
	<-rig.begun
	rig.release <- struct{}{}
	if got := body(t, bufio.NewReader(conn)); got != "changed" || rig.parked.Load() != 0 {
		t.Errorf("the answer is %q, and %d connections were parked", got, rig.parked.Load())
	}
}

// A wait that panics costs only its connection.
func TestPanic(t *testing.T) {
	t.Parallel()
	rig, _ := newRig(t)
	rig.trouble = "trouble"
	conn := dial(t, rig.serve(t), get)
	<-rig.begun
	rig.release <- struct{}{}
	if got, err := io.ReadAll(conn); len(got) > 0 || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// pipes is a listener with connections in memory, so that the test can use synthetic time.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	conn, open := <-p
	if !open {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (p pipes) Close() error {
	close(p)
	return nil
}
func (pipes) Addr() net.Addr { return nil }

// After an answer the connection may be idle as long as any other, and not only as long as a new one.
func TestIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rig, stop := newRig(t)
		defer stop()
		listener := make(pipes, 1)
		client, there := net.Pipe()
		listener <- there
		for _, l := range []net.Listener{listener, rig.lot} {
			go func() { _ = rig.Serve(l) }()
		}
		reader := bufio.NewReader(client)
		send(t, client, get)
		<-rig.begun
		time.Sleep(24 * time.Hour) // a wait has no limit
		rig.release <- struct{}{}
		body(t, reader)

		time.Sleep(59 * time.Minute)
		send(t, client, "GET /next HTTP/1.1\r\nHost: x\r\n\r\n")
		if got := body(t, reader); got != "/next" {
			t.Errorf("the next answer is %q", got)
		}
		send(t, client, get)
		<-rig.begun
		rig.release <- struct{}{}
		body(t, reader)
		begun := time.Now()
		if _, err := reader.ReadByte(); !errors.Is(err, io.EOF) || time.Since(begun) != time.Hour {
			t.Errorf("the idle connection ends after %v: %v", time.Since(begun), err)
		}
		if err := rig.Close(); err != nil {
			t.Error(err)
		}
	})
}
