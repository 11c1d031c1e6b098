package cli

import (
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
)

// This target is in package cli because to listen would need the network.

// FuzzListenAddress checks that an address counts as this machine's only if no other machine can reach it,
// and that the URL of a socket leads to its path.
func FuzzListenAddress(f *testing.F) {
	for _, seed := range []string{
		"127.0.0.1:8254", ":8254", "0.0.0.0:0", "[::1]:80", "[::ffff:127.0.0.1]:80", "localhost.:http", "LOCALHOST:1", "a.localhost:1", "[::1%lo]:80",
		"unix:/tmp/s", "unix:s", "unix:///tmp/a%20b%2f?c", "unix:", "127.1:80", "127.0.0.1:80:90", "localhost", "[localhost]:80", "169.254.169.254:80",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Clean("/" + text)
		if got, ok := socketPath(socketURL(&net.UnixAddr{Name: path, Net: "unix"}).String()); !ok || got != path {
			t.Errorf("the URL of the socket %q leads to %q", path, got)
		}
		host, _, err := net.SplitHostPort(text)
		if _, isSocket := socketPath(text); isSocket || err != nil || !isLoopback(text) {
			return
		}
		address, err := netip.ParseAddr(host)
		if err == nil && !address.Unmap().IsLoopback() || err != nil && !strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
			t.Errorf("%q counts as an address of this machine", text)
		}
	})
}
