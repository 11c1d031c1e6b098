package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"gcp-metadata-emulator/server/nameserver"
	"gcp-metadata-emulator/server/reach"
)

// dnsFlags holds the flag of the commands that can take the place of Google's servers.
type dnsFlags struct {
	DNS string `name:"dns" placeholder:"ADDR" help:"In the place of Google's servers, also answer DNS queries at this address, over UDP and TCP. All names of Google's APIs lead to the emulator, and other names do not exist."`
}

// check returns a usage error if the flag is set although the emulator does not take the place of
// Google's servers. other is the flag that makes it do so.
func (f dnsFlags) check(takesOver bool, other string) error { //nolint:revive // a fact, not a mode
	if f.DNS != "" && !takesOver {
		return &usageError{fmt.Errorf("--dns leads the names of Google's servers to addresses that only %s serves: add it", other)}
	}
	return nil
}

// serveNames answers DNS queries until ctx ends, if the user wants it.
func (f dnsFlags) serveNames(ctx context.Context, e *emulator) error {
	if f.DNS == "" {
		return nil
	}
	listener, err := listen(ctx, f.DNS)
	if err != nil {
		return err
	}
	packets, err := (&net.ListenConfig{}).ListenPacket(ctx, "udp", listener.Addr().String())
	if err != nil {
		_ = listener.Close() // nothing was received
		return &hintError{
			message: fmt.Sprintf("cannot listen on %q over UDP: %v", f.DNS, rootCause(err)),
			hint:    "another program may answer DNS queries there; choose another address of this machine with --dns", cause: err,
		}
	}
	e.logger.InfoContext(ctx, "answering DNS queries", "listen", listener.Addr().String())
	server := nameserver.Server{Packets: packets, Listener: listener, Lookup: func(name string) (netip.Addr, bool) {
		address, exists := reach.Resolve(name, e.server.World().State.UniverseDomain)
		if !exists {
			e.logger.InfoContext(ctx, "a name does not exist here", "name", name)
		}
		return address, exists
	}}
	go func() {
		if err := server.Serve(ctx); err != nil && !errors.Is(err, context.Canceled) {
			e.logger.ErrorContext(ctx, "cannot answer DNS queries any more", "error", err)
		}
	}()
	return nil
}
