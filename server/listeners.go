package server

import (
	"context"
	"net"
	"net/netip"
	"sync"

	"gcp-metadata-emulator/server/router"
	"gcp-metadata-emulator/server/router/hostname"
)

// listeners are the listeners at which the emulator serves Google's APIs at the moment. An
// instance's listener can come and go when the fixture is read again.
type listeners struct {
	entrance *router.Entrance // decides which names lead to the listeners
	open     sync.Map         // by net.Listener
}

// serveAPIs serves a listener at which Google's APIs answer.
func (s *Server) serveAPIs(ctx, base context.Context, listener net.Listener) error {
	s.listeners.open.Store(listener, nil)
	defer s.listeners.open.Delete(listener)
	return s.serve(ctx, base, listener, s.proxy.Handler)
}

// answerAt reports whether a host, in the form of hostname.Of, and a port lead to one of the
// listeners: by the listener's own address, or by a name for which the entrance answers there. Names
// of Google's APIs and of services do not count, because their ports are the emulator's only by
// proxy.
func (l *listeners) answerAt(host, port string) bool {
	found := false
	l.open.Range(func(listener, _ any) bool {
		at := listener.(net.Listener).Addr()
		isAddress := net.JoinHostPort(host, port) == canonical(at)
		found = isAddress || !hostname.IsGoogle(host) && !hostname.IsService(host) && l.entrance.Answers(host, port, at)
		return !found
	})
	return found
}

// canonical returns an address with its host in the form of hostname.Of.
func canonical(address net.Addr) string {
	parsed, err := netip.ParseAddrPort(address.String())
	if err != nil {
		return address.String()
	}
	return netip.AddrPortFrom(parsed.Addr().Unmap(), parsed.Port()).String()
}
