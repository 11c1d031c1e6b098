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

// established is the answer to CONNECT before the tunnel begins.
const established = "HTTP/1.1 200 Connection established\r\n\r\n"

// tunnel is a connection after CONNECT.
type tunnel struct {
	net.Conn

	host    string // the host in the client's CONNECT
	program string // the client, as it calls itself there
	release func()

	buffered *bufio.Reader // bytes that the HTTP server had read already; nil after they are consumed
}

// hijack takes a connection from its server. If it fails, the connection is unchanged.
func hijack(w http.ResponseWriter, host string, release func()) (*tunnel, error) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	return &tunnel{Conn: conn, host: host, release: release, buffered: buffered.Reader}, nil
}

// accept answers CONNECT and returns the client's first byte without consuming it.
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

// Read returns the buffered bytes first.
func (t *tunnel) Read(p []byte) (int, error) {
	if t.buffered != nil && t.buffered.Buffered() > 0 {
		return t.buffered.Read(p)
	}
	t.buffered = nil
	return t.Conn.Read(p)
}

// NetConn returns the connection that the tunnel goes through.
func (t *tunnel) NetConn() net.Conn { return t.Conn }

// Close closes the tunnel and releases its file descriptor.
func (t *tunnel) Close() error {
	defer t.release()
	return t.Conn.Close()
}

// abandon closes the tunnel and ignores errors, because its callers cannot act on them.
func (t *tunnel) abandon() { _ = t.Close() }

// Tunnels is a listener. Its connections are the tunnels to the emulator.
type Tunnels struct {
	address net.Addr
	conns   chan net.Conn
	closed  chan struct{}
	close   func()
}

// NewTunnels returns a listener for the tunnels of connections to a local address.
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

// Close stops Accept. Accepted tunnels stay open.
func (t *Tunnels) Close() error {
	t.close()
	return nil
}

// Addr returns the local address of the connections.
func (t *Tunnels) Addr() net.Addr { return t.address }

// give waits until a connection is accepted.
func (t *Tunnels) give(conn net.Conn) {
	select {
	case t.conns <- conn:
	case <-t.closed:
		_ = conn.Close() // the server has stopped
	}
}

// ConnContext marks requests from a tunnel. It is for http.Server.
func ConnContext(ctx context.Context, conn net.Conn) context.Context {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	if _, ok := conn.(*tunnel); ok {
		return wire.WithProxied(ctx)
	}
	return ctx
}
