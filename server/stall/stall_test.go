package stall_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"gcp-metadata-emulator/server/stall"
)

// pipes is a listener with connections in memory, so that the test can use synthetic time.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) { return <-p, nil }
func (p pipes) Close() error              { return nil }
func (pipes) Addr() net.Addr              { return nil }

// accepted returns both ends of a connection, of which the first is limited.
func accepted(t *testing.T) (limited, client net.Conn) {
	t.Helper()
	listener := make(pipes, 1)
	client, there := net.Pipe()
	listener <- there
	limited, err := stall.Listener(listener).Accept()
	if err != nil {
		t.Fatal(err)
	}
	return limited, client
}

func TestClientThatReadsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limited, _ := accepted(t)
		begun := time.Now()
		n, err := limited.Write([]byte("text"))
		if took := time.Since(begun); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || took < 10*time.Second || took > 20*time.Second {
			t.Errorf("wrote %d bytes, %v after %v", n, err, took)
		}
	})
}

// A client gets everything as long as it reads a little, and nothing ends a connection that waits.
func TestSlowClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limited, client := accepted(t)
		sent := strings.Repeat("0123456789", 20)
		written := make(chan error, 1)
		go func() {
			for range 2 {
				if _, err := io.WriteString(limited, sent); err != nil {
					written <- err
					return
				}
				time.Sleep(time.Hour)
			}
			written <- nil
		}()
		var got strings.Builder
		for got.Len() < 2*len(sent) {
			time.Sleep(9 * time.Second)
			if _, err := io.CopyN(&got, client, 10); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-written; err != nil || got.String() != sent+sent {
			t.Errorf("got %d bytes, %v", got.Len(), err)
		}
	})
}

// A deadline of somebody else counts until it is taken back.
func TestForeignDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limited, client := accepted(t)
		if err := limited.SetWriteDeadline(time.Now().Add(-time.Second)); err != nil {
			t.Fatal(err)
		}
		if n, err := limited.Write([]byte("text")); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("wrote %d bytes, %v", n, err)
		}
		if err := limited.SetDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.CopyN(io.Discard, client, 4) }()
		if n, err := limited.Write([]byte("text")); n != 4 || err != nil {
			t.Errorf("wrote %d bytes, %v", n, err)
		}
	})
}

// counted counts how often the deadline of writes is set.
type counted struct {
	net.Conn

	set *int
}

func (c counted) SetWriteDeadline(t time.Time) error {
	*c.set++
	return c.Conn.SetWriteDeadline(t)
}

// net/http takes its deadline back after each answer, although it has set none. This neither costs anything
// nor lets a client off that reads nothing.
func TestNoForeignDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		listener, set := make(pipes, 1), 0
		client, there := net.Pipe()
		listener <- counted{there, &set}
		limited, err := stall.Listener(listener).Accept()
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.CopyN(io.Discard, client, 40) }()
		for range 10 {
			if n, err := limited.Write([]byte("text")); n != 4 || err != nil {
				t.Errorf("wrote %d bytes, %v", n, err)
			}
			if err := limited.SetWriteDeadline(time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
		if set != 1 {
			t.Errorf("the deadline was set %d times for ten answers of one moment, want once", set)
		}
		if n, err := limited.Write([]byte("text")); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("to a client that reads nothing: wrote %d bytes, %v", n, err)
		}
	})
}

// endless answers until the client has gone, and reports that.
type endless struct{ begun, ended chan error }

func (e endless) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	e.begun <- nil
	var err error
	for err == nil {
		_, err = io.WriteString(w, strings.Repeat("x", 1<<20))
	}
	e.ended <- err
}

// serve serves a handler until the test ends.
func serve(t *testing.T, handler http.Handler) (conns *stall.Conns, address string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	conns = &stall.Conns{}
	server := &http.Server{Handler: stall.Handler(handler), Protocols: &protocols, ConnState: conns.Track, ConnContext: conns.Context}
	go func() { _ = server.Serve(stall.Listener(listener)) }()
	t.Cleanup(func() { _ = server.Close() })
	return conns, listener.Addr().String()
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// requestHTTP2 begins a request in HTTP/2, and grants nothing for the answer. It writes everything at once,
// because a server waits two seconds for the settings after the preface.
func requestHTTP2(conn net.Conn) error {
	var fields strings.Builder
	encoder := hpack.NewEncoder(&fields)
	for _, field := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {":authority", "x"}} {
		if err := encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
			return err
		}
	}
	begin := bytes.NewBufferString(http2.ClientPreface)
	framer := http2.NewFramer(begin, nil)
	err := errors.Join(framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}),
		framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte(fields.String()), EndStream: true, EndHeaders: true}))
	_, writeErr := begin.WriteTo(conn)
	return errors.Join(err, writeErr)
}

// A server that stops does not wait for clients that do not read, however many they are. The context
// has no end: the test ends because the connections are closed.
func TestDrain(t *testing.T) {
	t.Parallel()
	clients := 20
	if text := os.Getenv("GCP_METADATA_EMULATOR_CLIENTS"); text != "" {
		var err error
		if clients, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	answers := endless{make(chan error, 2*clients), make(chan error, 2*clients)}
	conns, address := serve(t, answers)
	for range clients {
		plain := dial(t, address)
		_, err := fmt.Fprint(plain, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if err := errors.Join(err, plain.(*net.TCPConn).SetReadBuffer(4096), requestHTTP2(dial(t, address)), <-answers.begun, <-answers.begun); err != nil {
			t.Fatal(err)
		}
	}
	dial(t, address) // sends nothing
	begun := time.Now()
	conns.Drain(context.WithoutCancel(t.Context()))
	for range 2 * clients {
		if err := <-answers.ended; err == nil {
			t.Error("an answer has no end")
		}
	}
	t.Logf("%d clients that read nothing let go after %v", 2*clients, time.Since(begun).Round(time.Millisecond))
}

// A request whose handler works, and a client that reads, keep their connections.
func TestDrainWaits(t *testing.T) {
	t.Parallel()
	release, begun := make(chan struct{}), make(chan struct{})
	conns, address := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-release
		_, _ = io.WriteString(w, "done")
	}))
	conn := dial(t, address)
	_, _ = fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	<-begun
	ctx, cancel := context.WithTimeout(t.Context(), time.Second) // longer than a connection may stand still
	defer cancel()
	conns.Drain(ctx)
	close(release)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || string(body) != "done" {
		t.Errorf("the answer is %q, %v", body, err)
	}
}

// In HTTP/2, an answer that nobody reads ends although the connection is in use.
func TestStreamThatNobodyReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answers := endless{make(chan error, 1), make(chan error, 1)}
		var protocols http.Protocols
		protocols.SetUnencryptedHTTP2(true)
		var conns stall.Conns
		server := &http.Server{Handler: stall.Handler(answers), Protocols: &protocols, ConnState: conns.Track, ConnContext: conns.Context}
		listener := make(pipes, 1)
		client, there := net.Pipe()
		listener <- there
		var serving sync.WaitGroup
		serving.Go(func() { _ = server.Serve(stall.Listener(once{listener, make(chan struct{})})) })
		go func() { _, _ = io.Copy(io.Discard, client) }() // reads frames, but grants no data
		if err := requestHTTP2(client); err != nil {
			t.Fatal(err)
		}
		<-answers.begun
		begun := time.Now()
		if err := <-answers.ended; err == nil || time.Since(begun) > 20*time.Second {
			t.Errorf("the answer ends after %v: %v", time.Since(begun), err)
		}
		_, _ = client.Close(), server.Close()
		serving.Wait()
	})
}

// once is a listener with one connection.
type once struct {
	pipes

	closed chan struct{}
}

func (o once) Accept() (net.Conn, error) {
	select {
	case conn := <-o.pipes:
		return conn, nil
	case <-o.closed:
		return nil, net.ErrClosed
	}
}

func (o once) Close() error {
	close(o.closed)
	return nil
}
