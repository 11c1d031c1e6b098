package proxy_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/proxy"
	"gcp-metadata-emulator/server/router/hostname"
)

// pipes is a listener with connections in memory, for tests with synthetic time.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	return nil
}

func (*pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8254} }

func (p *pipes) dial() net.Conn {
	here, there := net.Pipe()
	p.conns <- there
	return here
}

// Every connection without progress is dropped in time.
func TestSlowClientsAreDropped(t *testing.T) {
	t.Parallel()
	for name, send := range map[string]func(net.Conn){
		"nothing":              func(net.Conn) {},
		"a byte of TLS":        func(conn net.Conn) { fmt.Fprint(conn, "\x16") },
		"half a handshake":     func(conn net.Conn) { fmt.Fprint(conn, "\x16\x03\x01\x02\x00\x01") },
		"a byte of HTTP":       func(conn net.Conn) { fmt.Fprint(conn, "G") },
		"a request that hangs": func(conn net.Conn) { fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: metadata\r\n") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				listener := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
				defer serve(newProxy(t, keys.NewRing("", time.Now)), listener)()
				conn := listener.dial()
				defer conn.Close()
				if status, _, err := connect(conn, "metadata:80"); err != nil || status != http.StatusOK {
					t.Fatalf("%d, %v", status, err)
				}
				begun := time.Now()
				go send(conn)
				_, _ = io.Copy(io.Discard, conn)
				if took := time.Since(begun); took != 10*time.Second {
					t.Errorf("dropped after %v", took)
				}
			})
		})
	}
}

// Garbage ends a connection at once.
func TestGarbageIsDropped(t *testing.T) {
	t.Parallel()
	e := start(t)
	for _, garbage := range []string{"\x00\x01\x02\x03 and more of the kind\r\n\r\n", "\x16garbage that is no handshake\r\n", "SSH-2.0-OpenSSH\r\n\r\n"} {
		conn := dial(t, e.address)
		if status, _, err := connect(conn, "metadata:80"); err != nil || status != http.StatusOK {
			t.Fatalf("%d, %v", status, err)
		}
		fmt.Fprint(conn, garbage)
		if _, err := io.Copy(io.Discard, conn); err != nil && !isReset(err) {
			t.Errorf("%q: %v", garbage, err)
		}
	}
}

// isReset reports whether err is the end of a connection with unread data.
func isReset(err error) bool {
	var timeout net.Error
	return !errors.As(err, &timeout) || !timeout.Timeout()
}

// A thousand tunnels are open at once, each with TLS, and each can be used.
func TestThousandTunnels(t *testing.T) {
	t.Parallel()
	const count = 1000
	e := start(t)
	if most := proxy.Most(e.proxy); most < count {
		t.Skipf("file descriptors are limited to %d tunnels", most)
	}
	config := &tls.Config{RootCAs: e.roots, ServerName: "oauth2.googleapis.com"}
	tunnels := make([]net.Conn, count)
	var opening errgroup.Group
	opening.SetLimit(8) // handshakes at once, so that none takes long on a busy machine
	for i := range count {
		opening.Go(func() error {
			conn := dial(t, e.address)
			if status, _, err := connect(conn, "oauth2.googleapis.com:443"); err != nil || status != http.StatusOK {
				return fmt.Errorf("status %d, %w", status, err)
			}
			secured := tls.Client(conn, config)
			tunnels[i] = secured
			return ask(secured)
		})
	}
	if err := opening.Wait(); err != nil {
		t.Fatal(err)
	}
	if open := proxy.Open(e.proxy); open != count || e.proxy.Tunnels() != count {
		t.Errorf("%d tunnels are open, and %d are counted", open, e.proxy.Tunnels())
	}
	var using errgroup.Group
	for _, conn := range tunnels {
		using.Go(func() error { return ask(conn) })
	}
	if err := using.Wait(); err != nil {
		t.Error(err)
	}
}

// A connection counts once, whatever requests it carries.
func TestTunnelLeadsToNoOther(t *testing.T) {
	t.Parallel()
	e := start(t, "127.0.0.1")
	for i, target := range []string{"metadata:80", e.address, "127.0.0.1:1"} {
		conn := dial(t, e.address)
		if status, _, err := connect(conn, "metadata:80"); err != nil || status != http.StatusOK {
			t.Fatalf("%d, %v", status, err)
		}
		if status, _, err := connect(conn, target); err != nil || status != http.StatusForbidden {
			t.Errorf("CONNECT %s in a tunnel: %d, %v", target, status, err)
		}
		if open := proxy.Open(e.proxy); open != int64(i+1) {
			t.Errorf("%d tunnels are open, of %d", open, i+1)
		}
	}
}

// A stopping server does not wait for idle tunnels.
func TestStopEndsTunnels(t *testing.T) {
	t.Parallel()
	other := listen(t)
	defer other.Close()
	ring := keys.NewRing("", time.Now)
	ring.Certify(hostname.Domains())
	listener := listen(t)
	stop := serve(newProxy(t, ring, "127.0.0.1"), listener)
	var conns []net.Conn
	for _, target := range []string{"metadata:80", "oauth2.googleapis.com:443", other.Addr().String()} {
		conn := dial(t, listener.Addr().String())
		if status, _, err := connect(conn, target); err != nil || status != http.StatusOK {
			t.Fatalf("%s: %d, %v", target, status, err)
		}
		conns = append(conns, conn)
	}
	stop()
	for _, conn := range conns {
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("a tunnel survives its server")
		}
	}
	if _, err := tls.Dial("tcp", listener.Addr().String(), nil); err == nil {
		t.Error("the server still listens")
	}
}
