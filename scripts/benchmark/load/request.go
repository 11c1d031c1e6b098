package load

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
)

// Counter stands for a number in a request's target or body. Every request from a template gets
// another number.
const Counter = "{n}"

// width is the number of digits of a counter. It is fixed, so that all requests of a template
// have the same length.
const width = 12

// Request describes a request.
type Request struct {
	Method string
	Target string   // path and query
	Header []string // whole lines, "Name: value"
	Body   string
}

// Template is a request as bytes, complete except for its counters. Many connections may use it
// at once.
type Template struct {
	// Dial connects to the server; nil means a direct connection.
	Dial func(ctx context.Context, addr string) (net.Conn, error)

	raw     []byte
	at      []int // the offsets of the counters
	counter atomic.Uint64
}

// Compile returns the bytes of the request to host.
func (r Request) Compile(host string) *Template {
	zeroes := strings.Repeat("0", width)
	body := strings.ReplaceAll(r.Body, Counter, zeroes)

	var text strings.Builder
	fmt.Fprintf(&text, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.Method, r.Target, host)
	for _, line := range r.Header {
		text.WriteString(line + "\r\n")
	}
	if body != "" {
		fmt.Fprintf(&text, "Content-Length: %d\r\n", len(body))
	}
	text.WriteString("\r\n" + r.Body)

	template := &Template{}
	for rest := text.String(); ; {
		before, after, found := strings.Cut(rest, Counter)
		template.raw = append(template.raw, before...)
		if !found {
			return template
		}
		template.at = append(template.at, len(template.raw))
		template.raw = append(template.raw, zeroes...)
		rest = after
	}
}

// Next returns the bytes of the next request, in buf if they differ between requests. The
// caller must not change them.
func (t *Template) Next(buf []byte) []byte {
	if len(t.at) == 0 {
		return t.raw
	}
	buf = append(buf[:0], t.raw...)
	n := t.counter.Add(1)
	for _, at := range t.at {
		write(buf[at:at+width], n)
	}
	return buf
}

// write fills digits with n in decimal.
func write(digits []byte, n uint64) {
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = byte('0' + n%10)
		n /= 10
	}
}
