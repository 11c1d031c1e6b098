package server

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"gcp-metadata-emulator/server/park"
	"gcp-metadata-emulator/server/proxy"
	"gcp-metadata-emulator/server/stall"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/workloads"
)

// Limits of connections. Writing has no limit here, because a client may wait for a change of metadata
// for any time. Package stall limits how long a client may read nothing.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = time.Minute
	idleTimeout       = 10 * time.Minute
	tunnelIdleTimeout = time.Minute // the number of tunnels is limited
	maxHeaderBytes    = 64 << 10
	shutdownTimeout   = 5 * time.Second
)

// Serve answers the connections of a listener until the context ends, and closes the listener. It
// then answers waiting requests at once, and lets other requests finish. It returns nil if the end
// of the context stopped it.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	return s.serveAPIs(ctx, context.WithoutCancel(ctx), listener)
}

// TLS returns a listener with TLS. The certificates are of the emulator's authority.
func (s *Server) TLS(listener net.Listener) net.Listener {
	return s.proxy.TLS(stall.Listener(listener))
}

// MutualTLS is TLS for clients that authenticate themselves with a certificate of a pool.
func (s *Server) MutualTLS(listener net.Listener, clients *x509.CertPool) net.Listener {
	return s.proxy.MutualTLS(stall.Listener(listener), clients)
}

// ServeInstance is Serve for the address of an instance: the instance's metadata server answers there,
// beside every other surface.
func (s *Server) ServeInstance(ctx context.Context, listener net.Listener, name string) error {
	return s.serveAPIs(ctx, workloads.Named(context.WithoutCancel(ctx), name, workloads.ByListener), listener)
}

// ServeDoor is Serve for an address of a service: every request is for this service.
func (s *Server) ServeDoor(ctx context.Context, listener net.Listener, service string) error {
	handler, end := s.doors.serveAt(listener, service)
	defer end()
	return s.serve(ctx, context.WithoutCancel(ctx), listener, func(*proxy.Tunnels) http.Handler { return handler })
}

// ServeNeighbour is Serve for an address of an API's neighbour, by the host name of the API.
func (s *Server) ServeNeighbour(ctx context.Context, listener net.Listener, host string) error {
	handler := s.neighbours.to(host)
	return s.serve(ctx, context.WithoutCancel(ctx), listener, func(*proxy.Tunnels) http.Handler { return handler })
}

// ServeControl is Serve for an address of the control plane.
func (s *Server) ServeControl(ctx context.Context, listener net.Listener) error {
	return s.serve(ctx, context.WithoutCancel(ctx), listener, func(*proxy.Tunnels) http.Handler { return s.drives })
}

// ServeProbes is Serve for an address at which only probes and measurements answer, under any Host.
func (s *Server) ServeProbes(ctx context.Context, listener net.Listener) error {
	return s.serve(ctx, context.WithoutCancel(ctx), listener, func(*proxy.Tunnels) http.Handler { return s.probes })
}

// ServePeers is Serve for an address with only the routes that other replicas ask.
func (s *Server) ServePeers(ctx context.Context, listener net.Listener) error {
	return s.serve(ctx, context.WithoutCancel(ctx), listener, func(*proxy.Tunnels) http.Handler { return s.peers })
}

// serve gives requests a context of their own, because they may continue for a while after ctx ends.
func (s *Server) serve(ctx, base context.Context, listener net.Listener, handler func(*proxy.Tunnels) http.Handler) error {
	defer s.doors.Close()
	requests, stop := context.WithCancelCause(base)
	defer stop(nil)
	var conns stall.Conns
	tunnels := proxy.NewTunnels(listener.Addr())
	direct, tunnelled := s.httpServer(requests, &conns, handler(tunnels)), s.httpServer(requests, &conns, handler(tunnels))
	tunnelled.IdleTimeout = tunnelIdleTimeout
	lot := park.New(requests, direct, listener.Addr())
	served := make(chan error, 3)
	go func() { served <- direct.Serve(stall.Listener(listener)) }()
	go func() { served <- direct.Serve(lot) }()
	go func() { served <- tunnelled.Serve(tunnels) }()

	select {
	case err := <-served:
		_, _ = direct.Close(), tunnelled.Close() // they still serve other listeners
		return errors.Join(err, unlessClosed(<-served), unlessClosed(<-served))
	case <-ctx.Done():
	}
	stop(wire.ErrStopping)
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.shutdownTimeout)
	defer cancel()
	lot.Drain(late)
	go func() {
		conns.Drain(late)
		cancel()
	}()
	var ending sync.WaitGroup
	for _, server := range []*http.Server{direct, tunnelled} {
		ending.Go(func() {
			if err := server.Shutdown(late); err != nil {
				_ = server.Close() // cut off the remaining requests
			}
		})
	}
	ending.Wait()
	return errors.Join(unlessClosed(<-served), unlessClosed(<-served), unlessClosed(<-served))
}

// unlessClosed returns err unless it only says that the server was closed.
func unlessClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// httpServer returns the server of an address, or of the tunnels that begin there. It speaks HTTP/2 if
// TLS negotiates it. It also speaks HTTP/2 to clients that start with it (RFC 9113, section 3.3), as
// gRPC clients do.
func (s *Server) httpServer(requests context.Context, conns *stall.Conns, handler http.Handler) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           stall.Handler(handler),
		Protocols:         &protocols,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          s.proxy.ErrorLog(),
		BaseContext:       func(net.Listener) context.Context { return requests },
		ConnState:         conns.Track,
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return proxy.ConnContext(conns.Context(ctx, conn), conn)
		},

		DisableGeneralOptionsHandler: true,
	}
}
