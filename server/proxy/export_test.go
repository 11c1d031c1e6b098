package proxy

import (
	"context"
	"net"
)

// SetDial replaces the functions with which a proxy connects to other hosts.
func SetDial(p *Proxy, dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	p.dial, p.dialNamed = dial, dial
}

// SetDialNamed replaces the function with which a proxy connects to addresses that a person has named.
func SetDialNamed(p *Proxy, dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	p.dialNamed = dial
}

// Open returns the number of file descriptors in use by tunnels.
func Open(p *Proxy) int64 { return p.files.Load() }

// Most returns the limit of file descriptors.
func Most(p *Proxy) int64 { return p.most }
