// Package loopback gives the machine's loopback interface further addresses, for servers that
// programs on it find at an address and at no other.
//
// It asks the operating system itself, and needs no other program. Who serves there is for
// the caller.
package loopback

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
)

// Add makes an address the machine's own, until the function that it returns is called. It does
// nothing, and neither does the function, where the machine has the address already. The
// interface is up afterwards, which it is not in a new network namespace.
//
// The error is fs.ErrPermission for a process that may not change the network, and
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

// Has tells whether an address is the loopback interface's. It is not on systems other than Linux.
func Has(address netip.Addr) bool { return has(address) }

// Confine keeps other machines from a socket that is about to listen at an address that Has tells of;
// Linux answers for an address by whatever interface it is asked. It is for [net.ListenConfig].
func Confine(_, _ string, socket syscall.RawConn) error { return confine(socket) }
