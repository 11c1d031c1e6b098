package wire

import (
	"io"
	"net/http"
)

// Subject describes a request by its own data, without verification. Unknown fields are empty.
type Subject struct {
	Instance string // the instance whose metadata server gets the request
	ChosenBy string // the rule by which the instance was chosen (see package workloads)
	Account  string // the e-mail address of the account whose credential is requested
	Audience string // the audience of the requested token
}

// Rereadable makes the body of a request readable more than once.
func Rereadable(r *http.Request) *Body {
	body := &Body{source: r.Body}
	r.Body = body
	return body
}

// Body is the body of a request. It keeps the bytes read so far, up to MaxBody and a little
// more, because no reader accepts more.
type Body struct {
	source io.ReadCloser
	read   []byte
	at     int
	whole  bool // the body ends after the kept bytes
}

// Rewind lets readers start from the beginning again.
func (b *Body) Rewind() { b.at = 0 }

// Remembered lets readers read the kept bytes again and then reports the end, so that no handler
// waits for a slow client.
func (b *Body) Remembered() { b.at, b.whole = 0, true }

// Read returns the kept bytes first, then the rest.
func (b *Body) Read(p []byte) (int, error) {
	if b.at < len(b.read) {
		n := copy(p, b.read[b.at:])
		b.at += n
		return n, nil
	}
	if b.whole {
		return 0, io.EOF
	}
	n, err := b.source.Read(p)
	kept := min(n, MaxBody+1-len(b.read))
	b.read = append(b.read, p[:kept]...)
	b.at += kept
	return n, err
}

// Close closes the body.
func (b *Body) Close() error { return b.source.Close() }
