package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"syscall"

	"gcp-metadata-emulator/server/loopback"
	"gcp-metadata-emulator/server/router/hostname"
)

func listen(ctx context.Context, address string) (net.Listener, error) {
	listener, err := listenAt(ctx, address)
	if err != nil {
		failed := &hintError{message: fmt.Sprintf("cannot listen on %q: %v", address, rootCause(err)), hint: listenHint(ctx, address, err), cause: err}
		if isMalformed(err) {
			return nil, &usageError{failed}
		}
		return nil, failed
	}
	return listener, nil
}

func listenAt(ctx context.Context, address string) (net.Listener, error) {
	if path, isSocket := socketPath(address); isSocket {
		return listenOnSocket(ctx, path)
	}
	var config net.ListenConfig
	if isConfined(address) {
		config.Control = loopback.Confine
	}
	return config.Listen(ctx, "tcp", address)
}

// isMalformed reports whether listening failed because the text is not an address.
func isMalformed(err error) bool {
	_, malformed := errors.AsType[*net.AddrError](err)
	return malformed
}

// listenHint returns advice if listening on an address fails.
func listenHint(ctx context.Context, address string, err error) string {
	const choose = "choose another with --listen HOST:PORT, or --listen 127.0.0.1:0 for any free port"
	_, isSocket := socketPath(address)
	if errors.Is(err, syscall.EADDRINUSE) {
		if other, ok := emulatorAt(ctx, address); ok {
			return other + ", or " + choose
		}
	}
	switch {
	case isSocket && errors.Is(err, syscall.EADDRINUSE):
		return "another program uses this socket, or the path is of another file: choose another path"
	case isSocket:
		return "write unix:PATH; check that the directory exists, and that the path has at most 100 characters"
	case isMalformed(err):
		return "write an address as HOST:PORT, for example 127.0.0.1:8254, or as unix:PATH"
	case errors.Is(err, fs.ErrPermission):
		return "use a port of 1024 or more, or run as root or with the capability CAP_NET_BIND_SERVICE"
	}
	return "another program may be using it; " + choose
}

// baseURL returns the URL of a listener for clients on this machine.
func baseURL(address net.Addr) *url.URL {
	if socket, ok := address.(*net.UnixAddr); ok {
		return socketURL(socket)
	}
	hostport := address.String()
	if parsed, err := netip.ParseAddrPort(hostport); err == nil && parsed.Addr().IsUnspecified() {
		hostport = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), parsed.Port()).String()
	}
	return &url.URL{Scheme: "http", Host: hostport}
}

// isLoopback reports whether only this machine can reach an address.
func isLoopback(address string) bool {
	_, isSocket := socketPath(address)
	return isSocket || hostname.IsLocalhost(hostname.Of(address))
}

// isConfined reports whether the loopback interface was given this address. Other machines are
// kept from reaching it.
func isConfined(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil || isLoopback(address) {
		return false
	}
	parsed, err := netip.ParseAddr(host)
	return err == nil && loopback.Has(parsed)
}
