package wire

import (
	"context"
	"io"
	"net/http"
	"time"
)

// patience limits the time of a blocked write, if the client does not read.
const patience = 10 * time.Second

// stream writes to a client and flushes after each write. A blocked write ends after patience,
// or when the server stops.
type stream struct {
	w          io.Writer
	ctx        context.Context // the request's context
	controller *http.ResponseController
}

func newStream(w http.ResponseWriter, r *http.Request) io.Writer {
	s := &stream{w, r.Context(), http.NewResponseController(w)}
	_ = s.controller.Flush() // sends the header; if the client has gone, the first write fails
	return s
}

func (s *stream) Write(data []byte) (int, error) {
	late := time.AfterFunc(patience, s.cut)
	defer late.Stop()
	defer context.AfterFunc(s.ctx, s.cut)()
	n, err := s.w.Write(data)
	if err != nil {
		return n, err
	}
	return n, s.controller.Flush()
}

// cut ends a blocked write.
func (s *stream) cut() {
	_ = s.controller.SetWriteDeadline(time.Unix(1, 0)) // in the past
}
