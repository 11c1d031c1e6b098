package wire

import (
	"context"
	"io"
	"net/http"
	"time"
)

// patience is how long a client may leave what is written to a stream unread, once there is
// no more room for it on the way.
const patience = 10 * time.Second

// stream writes to a client and sends what it is given at once. The write of a client that
// does not read ends when patience does, or when the server stops.
type stream struct {
	w          io.Writer
	ctx        context.Context // the request's
	controller *http.ResponseController
}

func newStream(w http.ResponseWriter, r *http.Request) io.Writer {
	s := &stream{w, r.Context(), http.NewResponseController(w)}
	_ = s.controller.Flush() // the header; a client that has gone is noticed by the first write
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

// cut ends a write that is under way.
func (s *stream) cut() {
	_ = s.controller.SetWriteDeadline(time.Unix(1, 0)) // long ago
}
