package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"runtime"

	"gcp-metadata-emulator/server/loopback"
	"gcp-metadata-emulator/server/reach"
)

// takeOver gives this machine the address of Google's metadata server, until the function that
// it returns is called, and prints what leads programs there and to the emulator's TLS address.
func takeOver(std streams) (giveBack func(), err error) {
	remove, err := loopback.Add(netip.MustParseAddr(reach.MetadataAddress))
	if err != nil {
		return nil, &hintError{
			message: fmt.Sprintf("cannot take the address %s: %v", reach.MetadataAddress, rootCause(err)),
			hint:    takeoverHint(err),
			cause:   err,
		}
	}
	for _, line := range reach.HostsLines() {
		_, _ = fmt.Fprintln(std.out, line)
	}
	return func() {
		if err := remove(); err != nil {
			_, _ = fmt.Fprintf(std.err, "%s: %v\nhint: ip address del %s/32 dev lo\n", program, err, reach.MetadataAddress)
		}
	}, nil
}

func takeoverHint(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "run as root, or in a network of its own: scripts/namespace -- COMMAND"
	case errors.Is(err, errors.ErrUnsupported):
		return "--takeover is for Linux, and this is " + runtime.GOOS + "; use exec --reach proxy, or a container"
	default:
		return "see whether another interface of this machine is to have it"
	}
}
