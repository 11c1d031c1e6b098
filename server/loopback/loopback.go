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
	isOwn := func(one net.Addr) bool {
		network, ok := one.(*net.IPNet)
		return ok && network.IP.Equal(address.AsSlice())
	}
	if slices.ContainsFunc(own, isOwn) {
		return func() error { return nil }, nil
	}
	return add(address)
}
