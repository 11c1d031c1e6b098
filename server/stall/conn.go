// Package stall lets go of clients that do not read the answers to their requests.
//
// It owns the write deadlines of connections. A deadline grows with the progress of the client: a slow
// client gets everything, but a client that reads nothing is let go. The deadline of a write stays
// after it, and is renewed before the next one, so that no deadline ends a request, a stream of events or a
// tunnel while it waits. When a server stops, the package closes idle connections. It does not know the written content.
package stall

import (
	"crypto/tls"
	"errors"
	"math"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// patience is the time for which a client may read nothing. The deadline is renewed at most that
	// often, so a client has up to twice the time.
	patience = 10 * time.Second

	// piece is how much of an answer a client reads for one deadline.
	piece = 64 << 10
)

// Listener returns a listener whose connections end if their clients do not read. It does not change
// connections with TLS: the listener below TLS limits them.
func Listener(listener net.Listener) net.Listener { return limited{listener} }

type limited struct{ net.Listener }

func (l limited) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if _, secured := conn.(*tls.Conn); err != nil || secured {
		return conn, err
	}
	return &Conn{Conn: conn, begun: time.Now()}, nil //nolint:forbidigo // deadlines follow the machine's time
}

// Conn is a connection. If the other side does not read, its writes fail.
type Conn struct {
	net.Conn

	begun   time.Time
	due     atomic.Int64 // the time since begun at which the deadline is renewed
	writing atomic.Bool
	written atomic.Int64 // bytes

	mu sync.Mutex // held while the deadline changes
}

// never is later than all times.
const never = math.MaxInt64

// Write writes in pieces, with a deadline for each.
func (c *Conn) Write(p []byte) (n int, err error) {
	c.writing.Store(true)
	defer c.writing.Store(false)
	for {
		c.renew()
		written, err := c.Conn.Write(p[n:min(len(p), n+piece)])
		n += written
		c.written.Add(int64(written))
		isSlow := written > 0 && errors.Is(err, os.ErrDeadlineExceeded) && c.due.Load() != never
		if err != nil && !isSlow || n == len(p) {
			return n, err
		}
		if isSlow {
			c.due.Store(0)
		}
	}
}

// renew sets the next deadline, unless the present one is far enough away.
func (c *Conn) renew() {
	now := time.Since(c.begun)
	if now < time.Duration(c.due.Load()) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.due.Load() == never {
		return
	}
	_ = c.Conn.SetWriteDeadline(c.begun.Add(now + 2*patience)) // if it fails, so does the write
	c.due.Store(max(int64(now+patience), 1))
}

// SetWriteDeadline replaces the deadlines of this package until the time is zero again.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	if t.IsZero() && c.due.Load() != never {
		return nil // net/http asks for this after each request
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.due.Store(0)
	if !t.IsZero() {
		c.due.Store(never)
	}
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline sets the deadlines of reads and writes.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// CloseWrite ends the stream to the other side, which then still can be read.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// of returns the connection of this package below others, or nil.
func of(conn net.Conn) *Conn {
	for {
		if limited, ok := conn.(*Conn); ok {
			return limited
		}
		above, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		conn = above.NetConn()
	}
}
