package proxy

import (
	"context"
	"net"
)

// SetDial makes a proxy reach other hosts in another way.
func SetDial(p *Proxy, dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	p.dial = dial
}

// Open is how many file descriptors tunnels have at the moment.
func Open(p *Proxy) int64 { return p.files.Load() }

// Most is how many they may have.
func Most(p *Proxy) int64 { return p.most }
