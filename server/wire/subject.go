package wire

import (
	"io"
	"net/http"
)

// Subject is what a request is about, as far as it tells: nothing of it need be true. Fields
// are empty where it does not tell.
type Subject struct {
	Instance string // whose metadata server is asked
	Account  string // the e-mail address of the account whose credential it is for
	Audience string // of the token that it asks for
}

// Rereadable makes the body of a request one that can be read more than once.
func Rereadable(r *http.Request) *Body {
	body := &Body{source: r.Body}
	r.Body = body
	return body
}

// Body is a request's body that remembers what has been read of it, up to a little more than
// MaxBody, of which nobody needs more.
type Body struct {
	source io.ReadCloser
	read   []byte
	at     int
	whole  bool // what has been read is all that there is to read
}

// Rewind lets the body be read from its beginning again.
func (b *Body) Rewind() { b.at = 0 }

// Remembered lets what has been read be read again, and no more: nobody waits for a client
// that is still sending.
func (b *Body) Remembered() { b.at, b.whole = 0, true }

// Read reads what has been read before, and then the rest.
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
