// Package loopback adds addresses to the machine's loopback interface, for servers with a fixed
// address.
//
// It calls the operating system directly and needs no other program. The caller provides the
// server.
package loopback

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
)

// Add adds an address to the machine until remove is called. If the machine has the address
// already, neither Add nor remove does anything. Add also brings the interface up, which is
// down in a new network namespace.
//
// The error is fs.ErrPermission if the process may not change the network, and
// errors.ErrUnsupported on systems other than Linux.
func Add(address netip.Addr) (remove func() error, err error) {
	own, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list the addresses of this machine: %w", err)
	}
	if slices.ContainsFunc(own, func(one net.Addr) bool { return isThe(address, one) }) {
		return func() error { return nil }, nil
	}
	return add(address)
}

func isThe(address netip.Addr, one net.Addr) bool {
	network, ok := one.(*net.IPNet)
	return ok && network.IP.Equal(address.AsSlice())
}

// Has reports whether the loopback interface has the address. It returns false on systems other
// than Linux.
func Has(address netip.Addr) bool { return has(address) }

// Confine keeps other machines away from a socket. Call it before the socket listens, if Has
// returns true for its address. Without it, Linux accepts packets for the address from any
// interface. It is for [net.ListenConfig].
func Confine(_, _ string, socket syscall.RawConn) error { return confine(socket) }
