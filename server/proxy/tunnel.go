package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync"

	"gcp-metadata-emulator/server/wire"
)

// established is the answer to CONNECT after which the tunnel begins.
const established = "HTTP/1.1 200 Connection established\r\n\r\n"

// tunnel is a connection after CONNECT.
type tunnel struct {
	net.Conn

	host    string // that the client asked for
	release func()

	buffered *bufio.Reader // what was read before it was known to be a tunnel; nil: nothing is left of it
}

// hijack takes a connection from its server. Where it cannot, nothing has happened.
func hijack(w http.ResponseWriter, host string, release func()) (*tunnel, error) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	return &tunnel{Conn: conn, host: host, release: release, buffered: buffered.Reader}, nil
}

// accept tells the client that it is connected, and returns the first byte that it sends
// then, which stays to be read.
func (t *tunnel) accept() (byte, error) {
	if _, err := io.WriteString(t.Conn, established); err != nil {
		return 0, err
	}
	first, err := t.buffered.Peek(1)
	if err != nil {
		return 0, err
	}
	return first[0], nil
}

// Read reads what has been buffered first.
func (t *tunnel) Read(p []byte) (int, error) {
	if t.buffered != nil && t.buffered.Buffered() > 0 {
		return t.buffered.Read(p)
	}
	t.buffered = nil
	return t.Conn.Read(p)
}

// Close ends the tunnel.
func (t *tunnel) Close() error {
	defer t.release()
	return t.Conn.Close()
}

// abandon is Close where nobody can do anything about an error.
func (t *tunnel) abandon() { _ = t.Close() }

// Tunnels is a listener for the tunnels to the emulator.
type Tunnels struct {
	address net.Addr
	conns   chan net.Conn
	closed  chan struct{}
	close   func()
}

// NewTunnels is a listener for the tunnels of connections that came in at an address.
func NewTunnels(address net.Addr) *Tunnels {
	t := &Tunnels{address: address, conns: make(chan net.Conn), closed: make(chan struct{})}
	t.close = sync.OnceFunc(func() { close(t.closed) })
	return t
}

// Accept waits for a tunnel.
func (t *Tunnels) Accept() (net.Conn, error) {
	select {
	case conn := <-t.conns:
		return conn, nil
	case <-t.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept. Tunnels that it has returned stay open.
func (t *Tunnels) Close() error {
	t.close()
	return nil
}

// Addr is the address at which the connections came in.
func (t *Tunnels) Addr() net.Addr { return t.address }

// give waits until a connection is accepted.
func (t *Tunnels) give(conn net.Conn) {
	select {
	case t.conns <- conn:
	case <-t.closed:
		_ = conn.Close() // its server is gone
	}
}

// ConnContext marks the requests that come by way of a tunnel; it is for http.Server.
func ConnContext(ctx context.Context, conn net.Conn) context.Context {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	if _, ok := conn.(*tunnel); ok {
		return wire.WithProxied(ctx)
	}
	return ctx
}
