package stall

import (
	"context"
	"io"
	"net"
	"net/http"
	"time"
)

type connKey struct{}

// Context is for http.Server.ConnContext, which is called before ConnState. Handler needs it.
func (c *Conns) Context(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c.know(conn))
}

// Handler limits the streams of HTTP/2. A client can stop reading one answer while the connection
// makes progress.
func Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor < 2 {
			next.ServeHTTP(w, r)
			return
		}
		conn, known := r.Context().Value(connKey{}).(*tracked)
		if !known {
			next.ServeHTTP(w, r)
			return
		}
		conn.streams.Store(true)
		conn.working.Add(1)
		defer conn.working.Add(-1)
		s := &stream{ResponseWriter: w, controller: http.NewResponseController(w), conn: conn}
		next.ServeHTTP(s, r)
		s.finish()
	})
}

// stream is the answer to a request in HTTP/2.
type stream struct {
	http.ResponseWriter

	controller *http.ResponseController
	conn       *tracked
	late       *time.Timer
}

// Write writes in pieces, with a limit for each.
func (s *stream) Write(p []byte) (n int, err error) {
	for {
		var written int
		s.limit(func() { written, err = s.ResponseWriter.Write(p[n:min(len(p), n+piece)]) })
		if n += written; err != nil || n == len(p) {
			return n, err
		}
	}
}

// WriteString is Write of a text.
func (s *stream) WriteString(text string) (n int, err error) {
	for {
		var written int
		s.limit(func() { written, err = io.WriteString(s.ResponseWriter, text[n:min(len(text), n+piece)]) })
		if n += written; err != nil || n == len(text) {
			return n, err
		}
	}
}

// Flush sends the written data.
func (s *stream) Flush() { _ = s.FlushError() }

// FlushError sends the written data.
func (s *stream) FlushError() (err error) {
	s.limit(func() { err = s.controller.Flush() })
	return err
}

// Unwrap is for http.ResponseController.
func (s *stream) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// limit ends the stream if a write takes too long.
func (s *stream) limit(write func()) {
	if s.late == nil {
		s.late = time.AfterFunc(patience, s.cut)
	} else {
		s.late.Reset(patience)
	}
	s.conn.working.Add(-1)
	write()
	s.conn.working.Add(1)
	s.late.Stop()
}

// cut ends the stream, by a deadline in the past.
func (s *stream) cut() { _ = s.controller.SetWriteDeadline(time.Unix(1, 0)) }

// finish limits the time of the rest, which is sent when the handler has returned.
func (s *stream) finish() {
	_ = s.controller.SetWriteDeadline(time.Now().Add(patience)) //nolint:forbidigo // deadlines follow the machine's time
}
