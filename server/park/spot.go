package park

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// spot is a connection in the lot, from the time when its request begins to wait until its next request
// begins.
type spot struct {
	lot    *Lot
	conn   net.Conn
	cancel context.CancelCauseFunc // ends the wait
	ahead  []byte                  // what the client has sent after its request
	first  [1]byte

	answered chan struct{} // closed after the answer
	resume   func() bool   // keeps the idle connection open when the server stops; nil if the connection is closed
}

// park takes the connection of a request from its server. It returns false if that is impossible.
func (l *Lot) park(w http.ResponseWriter, r *http.Request, waiting Waiting) bool {
	if !l.enter() {
		return false
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		l.leave()
		return false
	}
	s := &spot{lot: l, conn: conn, answered: make(chan struct{})}
	ahead, _ := buffered.Peek(buffered.Reader.Buffered())
	s.ahead = slices.Clone(ahead) // so that the buffer is freed
	if again, ok := conn.(*resumed); ok {
		s.conn, s.ahead = again.Conn, append(s.ahead, again.ahead...)
	}
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(r.Context())) // net/http cancels its context now
	s.cancel = cancel
	go s.wait(r.WithContext(ctx), waiting)
	go s.follow()
	return true
}

// wait waits for the answer and has the server write it.
func (s *spot) wait(r *http.Request, waiting Waiting) {
	release := context.AfterFunc(s.lot.serving, func() { s.cancel(context.Cause(s.lot.serving)) })
	answer := safely(r, waiting)
	release()
	s.cancel(nil)
	s.lot.giveBack(&answering{Conn: s.conn, request: again(r), spot: s, answer: answer, begin: sync.OnceFunc(s.lot.leave)})
}

// safely waits for the answer. It leaves a panic to net/http.
func safely(r *http.Request, waiting Waiting) (answer http.Handler) {
	defer func() {
		if problem := recover(); problem != nil {
			answer = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(problem) })
		}
	}()
	return answerTo(r, waiting)
}

// follow reads from the client, to notice that it has gone or sends its next request.
func (s *spot) follow() {
	var err error
	if len(s.ahead) == 0 {
		if _, err = s.conn.Read(s.first[:]); err != nil {
			s.cancel(nil)
		}
		s.ahead = s.first[:]
	}
	<-s.answered
	if s.resume == nil || !s.resume() || err != nil {
		_ = s.conn.Close() // nobody reads what is left
		return
	}
	_ = s.conn.SetReadDeadline(time.Time{}) // if it fails, so does the next read
	s.lot.giveBack(&resumed{Conn: s.conn, ahead: s.ahead})
}

// idle keeps the connection for the next request, as long as the server keeps idle connections.
func (s *spot) idle() {
	if limit := s.lot.server.IdleTimeout; limit > 0 {
		_ = s.conn.SetReadDeadline(time.Now().Add(limit)) //nolint:forbidigo // deadlines follow the machine's time
	}
	s.resume = context.AfterFunc(s.lot.serving, func() { _ = s.conn.Close() })
}

// anyTarget is the target of the requests that again makes up.
const anyTarget = "*"

// again returns a request to which net/http writes the same answers as to r, without the rest of r.
//
// Only net/http knows how to write an answer: whether in chunks, with which header fields, and whether
// the connection closes afterwards. But it writes answers only to requests that it reads, and it has read r
// already. So it gets this request to read, and ServeHTTP of handler runs the answer in place of it. What
// decides about the form of an answer is repeated: the method, the version and Connection. The rest is left
// out, because net/http would act on it a second time: it would wait for a body, or send 100 Continue.
func again(r *http.Request) []byte {
	var text bytes.Buffer
	_, _ = fmt.Fprintf(&text, "%s %s %s\r\nHost: parked\r\n", r.Method, anyTarget, r.Proto)
	for _, value := range r.Header["Connection"] {
		_, _ = fmt.Fprintf(&text, "Connection: %s\r\n", value)
	}
	text.WriteString("\r\n")
	return text.Bytes()
}

// answering is a connection that has come back for the answer to its request. The server reads the
// request again, and then the end of the stream, and so does not keep the connection.
type answering struct {
	net.Conn

	spot     *spot
	request  []byte
	begin    func() // begins the answer; it does nothing the second time
	answer   http.Handler
	reusable atomic.Bool // the answer is complete, and the client may send its next request
	closing  sync.Once
}

// Read returns the request.
func (a *answering) Read(p []byte) (n int, err error) {
	if len(a.request) == 0 {
		return 0, io.EOF
	}
	n = copy(p, a.request)
	a.request = a.request[n:]
	return n, nil
}

// Close is called after the answer.
func (a *answering) Close() error {
	a.closing.Do(func() {
		a.begin()
		if a.reusable.Load() {
			a.spot.idle()
		} else {
			_ = a.Conn.Close() // nobody reads what is left
		}
		close(a.spot.answered)
	})
	return nil
}

// SetReadDeadline does nothing: the spot reads from the client.
func (a *answering) SetReadDeadline(time.Time) error { return nil }

// SetDeadline sets the deadline of writes.
func (a *answering) SetDeadline(t time.Time) error { return a.SetWriteDeadline(t) }

// CloseWrite ends the stream to the client.
func (a *answering) CloseWrite() error { return closeWrite(a.Conn) }

// NetConn returns the client's connection.
func (a *answering) NetConn() net.Conn { return a.Conn }

// resumed is a connection that has come back with its next request.
type resumed struct {
	net.Conn

	ahead []byte // the beginning of the request
}

// Read returns the bytes that have been read already first.
func (r *resumed) Read(p []byte) (n int, err error) {
	if len(r.ahead) == 0 {
		return r.Conn.Read(p)
	}
	n = copy(p, r.ahead)
	r.ahead = r.ahead[n:]
	return n, nil
}

// CloseWrite ends the stream to the client.
func (r *resumed) CloseWrite() error { return closeWrite(r.Conn) }

// NetConn returns the client's connection.
func (r *resumed) NetConn() net.Conn { return r.Conn }

func closeWrite(conn net.Conn) error {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
