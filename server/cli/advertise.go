package cli

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"

	"gcp-metadata-emulator/server/peers"
)

// peerFlags holds the flags about the requests between replicas.
type peerFlags struct {
	Advertise  string `placeholder:"URL" help:"With --store: base URL at which the other replicas ask this one for its journal and its counts (default: the address of --peer-listen, or else of the control plane)."`
	PeerListen string `placeholder:"ADDR" help:"With --store: also serve the routes that the other replicas ask (/emulator/v1/requests, which they can clear, /emulator/v1/faults and /emulator/v1/waiters), and nothing else, at this address."`
}

// misused returns a usage error if replicas cannot use the URL.
func (f peerFlags) misused() error {
	_, err := f.advertised()
	return err
}

// advertised returns the given URL, or an empty URL. The error does not show the URL, which may have a
// password.
func (f peerFlags) advertised() (string, error) {
	if f.Advertise == "" {
		return "", nil
	}
	base, err := peers.Base(f.Advertise)
	if err != nil {
		return "", &usageError{&hintError{
			message: fmt.Sprintf("--advertise: replicas cannot ask this one at the URL: %v", err),
			hint:    "give the host and the port at which the other replicas reach this one, and nothing else, such as http://10.4.0.7:8254", cause: err,
		}}
	}
	return base.String(), nil
}

// introduce tells the other replicas how to ask this one, until ctx ends.
func (e *emulator) introduce(ctx context.Context, flags peerFlags) {
	if e.replica == nil {
		return
	}
	base, _ := flags.advertised() // the flags have been checked
	if base == "" {
		base = e.ownURL(interfaceAddresses)
	}
	if base == "" {
		e.logger.WarnContext(ctx, "the other replicas cannot ask this one for its journal: it listens on a socket",
			"replica", e.replica.Name(), "hint", "give it an address with --peer-listen, or a URL with --advertise")
		return
	}
	e.logger.InfoContext(ctx, "the other replicas can ask this one for its journal", "replica", e.replica.Name(), "advertise", base)
	e.replica.Announce(ctx, base)
}

// ownURL returns the base URL at which other replicas ask. If the address is a socket, the URL is empty. If
// the emulator listens on all addresses of this machine, ownURL chooses one of them.
func (e *emulator) ownURL(own func() []netip.Addr) string {
	at := e.sites.open[0]
	for _, one := range e.sites.open {
		if one.control && !at.peers || one.peers {
			at = one
		}
	}
	tcp, ok := at.Addr().(*net.TCPAddr)
	if !ok {
		return ""
	}
	address := tcp.AddrPort()
	if address.Addr().IsUnspecified() {
		address = netip.AddrPortFrom(reachable(own()), address.Port())
	}
	return (&url.URL{Scheme: "http", Host: netip.AddrPortFrom(address.Addr().Unmap(), address.Port()).String()}).String()
}

// reachable returns the address by which other machines are most likely to reach this one: the first IPv4
// address that is not local to this machine, or else the first such IPv6 address.
func reachable(own []netip.Addr) netip.Addr {
	best := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	for _, address := range own {
		if !address.IsGlobalUnicast() {
			continue
		}
		if address.Is4() {
			return address
		}
		if best.Is4() {
			best = address
		}
	}
	return best
}

// interfaceAddresses returns the addresses of this machine.
func interfaceAddresses() []netip.Addr {
	found, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var own []netip.Addr
	for _, one := range found {
		if network, ok := one.(*net.IPNet); ok {
			if address, ok := netip.AddrFromSlice(network.IP); ok {
				own = append(own, address.Unmap())
			}
		}
	}
	return own
}
