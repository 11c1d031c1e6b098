// Package outward connects to servers other than the emulator.
//
// The owner of a name in the DNS chooses its address. A [Dialer] therefore checks the address before it
// connects. It spares the addresses at which machines in a cloud get credentials without a password,
// and the addresses of the local link, unless a person has named them. The package does not decide
// which hosts may be reached: packages proxy and door do.
package outward

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"gcp-metadata-emulator/server/router/hostname"
)

// Dialer connects to servers. The zero value has no timeout.
type Dialer struct{ net.Dialer }

// DialContext connects to a host and port that nobody has named in person. The error is a
// *SparedError if the host only leads to spared addresses.
func (d Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	d.ControlContext = spare // d is a copy
	return d.Dialer.DialContext(ctx, network, address)
}

// DialNamed connects to a host and port that a person has named, wherever the host leads.
func (d Dialer) DialNamed(ctx context.Context, network, address string) (net.Conn, error) {
	return d.Dialer.DialContext(ctx, network, address)
}

// IsAddress reports whether the host of a host and port is an IP address, and not a name.
func IsAddress(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		return false
	}
	_, err = netip.ParseAddr(host)
	return err == nil
}

// spare implements net.Dialer.ControlContext.
func spare(_ context.Context, _, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("read the address to connect to: %w", err)
	}
	if IsSpared(to.Addr()) {
		return &SparedError{to.Addr()}
	}
	return nil
}

// SparedError means that a dialer has not connected to an address.
type SparedError struct{ Address netip.Addr }

// Error implements error.
func (e *SparedError) Error() string {
	return fmt.Sprintf("it leads to %s, an address of the local link or of a metadata server", e.Address)
}

// IsSpared reports whether an address is of the local link, or is known to be a metadata server's.
func IsSpared(address netip.Addr) bool {
	address = address.Unmap().WithZone("")
	if inner, ok := embedded(address); ok {
		return IsSpared(inner)
	}
	return address.IsLinkLocalUnicast() || address.IsLinkLocalMulticast() ||
		slices.Contains(hostname.MetadataAddresses(), address) || slices.Contains(others(), address)
}

// others returns the addresses of the metadata servers of other clouds, as far as they are not of the
// local link.
func others() []netip.Addr {
	return []netip.Addr{
		netip.MustParseAddr("fd00:ec2::254"),      // Amazon EC2
		netip.MustParseAddr("100.100.100.200"),    // Alibaba Cloud
		netip.MustParseAddr("168.63.129.16"),      // Microsoft Azure
		netip.MustParseAddr("192.0.0.192"),        // Oracle Cloud
		netip.MustParseAddr("fd00:c1::a9fe:a9fe"), // Oracle Cloud
		netip.MustParseAddr("fd00:42::42"),        // Scaleway
	}
}

// embedded returns the IPv4 address to which a gateway translates an IPv6 address.
func embedded(address netip.Addr) (netip.Addr, bool) {
	if address.Is4() {
		return netip.Addr{}, false
	}
	const lastFour, afterSixToFour = 12, 2
	bytes := address.As16()
	at := lastFour
	switch prefix := binary.BigEndian.Uint64(bytes[:]); {
	case prefix>>48 == 0x2002: // RFC 3056
		at = afterSixToFour
	case prefix == 0x64_ff9b<<32, prefix>>16 == 0x64_ff9b_0001: // RFC 6052, RFC 8215
	default:
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte(bytes[at : at+4])), true
}
