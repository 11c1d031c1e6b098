package load

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

const (
	bufferSize = 64 << 10 // must hold the longest header
	quoted     = 200      // bytes of an error's body that StatusError shows
)

// StatusError reports an answer other than 200.
type StatusError struct {
	Status int
	Body   string // its first bytes
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("answered %d: %q", e.Status, e.Body)
}

// Responses reads the answers on one connection. It supports only answers with a
// Content-Length, and evaluates only the status.
type Responses struct {
	source     io.Reader
	buf        []byte
	start, end int // the received bytes that have not been consumed
}

// NewResponses returns a Responses that reads from source.
func NewResponses(source io.Reader) *Responses {
	return &Responses{source: source}
}

// Next consumes one answer. The error is a *StatusError for an answer other than 200.
func (r *Responses) Next() error {
	header, err := r.header()
	if err != nil {
		return err
	}
	status, length, err := parse(header)
	if err != nil {
		return err
	}
	if status == 200 {
		return r.discard(length)
	}
	shown, err := r.take(min(length, quoted))
	if err != nil {
		return fmt.Errorf("answered %d: %w", status, err)
	}
	return &StatusError{Status: status, Body: string(shown)}
}

// header returns the status line and header lines, including the last line's end, and consumes
// the blank line that follows.
func (r *Responses) header() ([]byte, error) {
	for searched := 0; ; {
		received := r.buf[r.start:r.end]
		if i := bytes.Index(received[searched:], []byte("\r\n\r\n")); i >= 0 {
			length := searched + i + len("\r\n")
			r.start += length + len("\r\n")
			return received[:length], nil
		}
		searched = max(0, len(received)-len("\r\n\r"))
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
}

// take consumes n bytes, which must fit into the buffer.
func (r *Responses) take(n int) ([]byte, error) {
	for r.end-r.start < n {
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
	taken := r.buf[r.start : r.start+n]
	r.start += n
	return taken, nil
}

// discard consumes any number of bytes.
func (r *Responses) discard(n int) error {
	for n > r.end-r.start {
		n -= r.end - r.start
		r.start = r.end
		if err := r.fill(); err != nil {
			return err
		}
	}
	r.start += n
	return nil
}

// fill receives more bytes.
func (r *Responses) fill() error {
	if r.start > 0 {
		r.end = copy(r.buf, r.buf[r.start:r.end])
		r.start = 0
	}
	if r.buf == nil { // an idle connection needs no buffer
		r.buf = make([]byte, bufferSize)
	}
	if r.end == len(r.buf) {
		return fmt.Errorf("the answer's header is longer than %d bytes", len(r.buf))
	}
	n, err := r.source.Read(r.buf[r.end:])
	r.end += n
	switch {
	case n > 0:
		return nil
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	case err == nil:
		return io.ErrNoProgress
	}
	return err
}

// parse returns the status and the body's length from a header.
func parse(header []byte) (status, length int, err error) {
	line, rest, _ := bytes.Cut(header, []byte("\r\n"))
	status, err = parseStatus(line)
	if err != nil {
		return 0, 0, err
	}
	length = -1
	for len(rest) > 0 && length < 0 {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		name, value, _ := bytes.Cut(line, []byte(":"))
		if !bytes.EqualFold(name, []byte("Content-Length")) {
			continue
		}
		length, err = strconv.Atoi(string(bytes.TrimSpace(value)))
		if err != nil || length < 0 {
			return 0, 0, fmt.Errorf("the answer's Content-Length is %q", value)
		}
	}
	if length < 0 {
		return 0, 0, fmt.Errorf("the answer with status %d has no Content-Length", status)
	}
	return status, length, nil
}

// parseStatus returns the status in a line such as "HTTP/1.1 200 OK".
func parseStatus(line []byte) (int, error) {
	version, rest, _ := bytes.Cut(line, []byte(" "))
	code, _, _ := bytes.Cut(rest, []byte(" "))
	status, err := strconv.Atoi(string(code))
	if err != nil || !bytes.Equal(version, []byte("HTTP/1.1")) || len(code) != 3 {
		return 0, fmt.Errorf("%q is not a status line of HTTP/1.1", line)
	}
	return status, nil
}
