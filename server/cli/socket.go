package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// An emulator can listen on a Unix domain socket, written unix:PATH, or as the URL unix:///PATH with
// escapes. Its clients name any host, such as localhost.

// socketPath returns the path in the address of a socket. ok is false for other addresses.
func socketPath(address string) (path string, ok bool) {
	path, ok = strings.CutPrefix(address, "unix:")
	escaped, isURL := strings.CutPrefix(path, "//")
	if !isURL {
		return path, ok
	}
	if unescaped, err := url.PathUnescape(escaped); err == nil {
		return unescaped, ok
	}
	return escaped, ok
}

// needsPort returns a usage error if an address is a socket. Commands that this program runs find the
// emulator by host and port.
func needsPort(address string) error {
	if _, isSocket := socketPath(address); isSocket {
		return &usageError{fmt.Errorf("the command finds the emulator by host and port: --listen cannot be %q", address)}
	}
	return nil
}

// listenOnSocket listens on a socket. It replaces the socket of a killed process, but no other file
// and no served socket. The socket's mode follows umask.
func listenOnSocket(ctx context.Context, path string) (net.Listener, error) {
	if path == "" {
		return nil, errors.New("the path of the socket is missing")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "unix", path)
	if errors.Is(err, syscall.EADDRINUSE) && isAbandoned(path) {
		if err := os.Remove(path); err != nil {
			return nil, err
		}
		return config.Listen(ctx, "unix", path)
	}
	return listener, err
}

// isAbandoned reports whether a file is a socket that nobody serves.
func isAbandoned(path string) bool {
	if info, err := os.Lstat(path); err != nil || info.Mode()&os.ModeSocket == 0 {
		return false
	}
	conn, err := net.DialTimeout("unix", path, time.Second) //nolint:noctx // ends at once: the other end is on this machine
	if err != nil {
		return errors.Is(err, syscall.ECONNREFUSED)
	}
	_ = conn.Close() // it has served its purpose
	return false
}

// endpoint leads the commands to a running emulator.
type endpoint struct {
	base string                                                               // of its URLs
	dial func(ctx context.Context, network, address string) (net.Conn, error) // nil: as usual
}

// endpointOf returns the endpoint in a URL, or a usage error.
func endpointOf(text string) (endpoint, error) {
	path, isSocket := socketPath(text)
	if !isSocket {
		base, err := baseOf(text)
		if err != nil {
			return endpoint{}, err
		}
		return endpoint{base: base.String()}, nil
	}
	var dialer net.Dialer
	return endpoint{
		base: "http://localhost",
		dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return dialer.DialContext(ctx, "unix", path) },
	}, nil
}

// socketURL returns the URL of a socket, as --url reads it.
func socketURL(address *net.UnixAddr) *url.URL { return &url.URL{Scheme: "unix", Path: address.Name} }
