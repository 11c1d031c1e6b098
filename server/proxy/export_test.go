package proxy

import (
	"context"
	"net"
)

// SetDial makes a proxy reach other hosts in another way.
func SetDial(p *Proxy, dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	p.dial = dial
}
