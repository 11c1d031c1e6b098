package stall

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	look  = 100 * time.Millisecond // between two looks at the connections of a server that stops
	still = 5                      // looks after which a connection without progress is closed
)

// Conns are the open connections of a server.
type Conns struct{ open sync.Map }

// tracked holds the known facts about a connection.
type tracked struct {
	limited *Conn // nil: its progress is not known
	used    atomic.Bool
	streams atomic.Bool  // it speaks HTTP/2
	working atomic.Int64 // handlers of requests in HTTP/2 that are not writing

	looks   int // without progress; only Drain uses it and the next one
	written int64
}

// Track is for http.Server.ConnState.
func (c *Conns) Track(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		c.know(conn)
	case http.StateIdle: // after a request
	case http.StateActive:
		if one, known := c.open.Load(conn); known {
			one.(*tracked).used.Store(true)
		}
	case http.StateHijacked, http.StateClosed:
		c.open.Delete(conn)
	}
}

// know returns the known facts about a connection, which may be new.
func (c *Conns) know(conn net.Conn) *tracked {
	one, _ := c.open.LoadOrStore(conn, &tracked{limited: of(conn)})
	return one.(*tracked)
}

// Drain closes the connections for which a server that shuts down would wait: connections without a
// request so far, and connections that stand still although their request is answered. It returns when
// no connection is left, or when the context ends.
func (c *Conns) Drain(ctx context.Context) {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for {
		left := 0
		c.open.Range(func(conn, one any) bool {
			left++
			if t := one.(*tracked); !t.used.Load() || t.standsStill() {
				_ = conn.(net.Conn).Close() // nobody reads what is left
			}
			return true
		})
		if left == 0 {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// standsStill reports whether a connection has made no progress for some looks.
func (t *tracked) standsStill() bool {
	if t.limited == nil || t.isWorking() {
		t.looks = 0
		return false
	}
	written := t.limited.written.Load()
	if written != t.written {
		t.looks, t.written = 0, written
		return false
	}
	t.looks++
	return t.looks >= still
}

// isWorking reports whether the client of a connection may be waiting. The server itself closes
// connections that nobody uses.
func (t *tracked) isWorking() bool {
	if t.streams.Load() {
		return t.working.Load() > 0
	}
	return !t.limited.writing.Load()
}
