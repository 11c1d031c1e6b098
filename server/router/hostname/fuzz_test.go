package hostname_test

import (
	"net/netip"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/router/hostname"
)

// FuzzPattern checks that a pattern stands for all hosts only if it is an asterisk, stands for a host, and
// is written as it is read.
func FuzzPattern(f *testing.F) {
	for _, seed := range []string{"*", "*.", "*.example.com", "example.com:80", "[::1]:80", "::ffff:1.2.3.4", "http://x", ".example.com", "xn--bcher-kva.example", "10.4.0.0/16", "FD00::/8", "1.2.3.4/32", "0.0.0.0/0", "fe80::1%a/b", "10.4.7.9/16"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var pattern, again hostname.Pattern
		if pattern.UnmarshalText([]byte(text)) != nil {
			return
		}
		written := pattern.String()
		if pattern.IsAny() != (text == "*") || !pattern.Matches(hostOf(written)) {
			t.Errorf("%q is %q, and stands for nothing or everything", text, pattern)
		}
		if err := again.UnmarshalText([]byte(written)); err != nil || again != pattern {
			t.Errorf("%q is written %q, and read as %q: %v", text, written, again, err)
		}
	})
}

// hostOf returns a host for which a pattern with this text stands.
func hostOf(pattern string) string {
	if network, err := netip.ParsePrefix(pattern); err == nil {
		return network.Addr().String()
	}
	if domain, isBelow := strings.CutPrefix(pattern, "*"); isBelow && domain != "" {
		return "x" + domain
	}
	return pattern
}

// FuzzTarget checks that a target stands for all hosts only if its host is an asterisk.
func FuzzTarget(f *testing.F) {
	for _, seed := range []string{"*", "*:443", "*.:443", "*.example.com:443", "[::1]:80", "::1", "http://x:80", ":443"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var target hostname.Target
		if target.UnmarshalText([]byte(text)) == nil && target.IsAny() != (text[0] == '*' && (len(text) == 1 || text[1] == ':')) {
			t.Errorf("%q stands for all hosts: %t", text, target.IsAny())
		}
	})
}

// FuzzOf checks that no host is this machine and Google's at once.
func FuzzOf(f *testing.F) {
	for _, seed := range []string{"", "LocalHost:80", "[::FFFF:7f00:1]:80", "a.:1", "[fe80::1%eth0]", "::1", "..", "[]:1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		host := hostname.Of(text)
		if hostname.IsLocalhost(host) && hostname.IsOfGoogle(host) {
			t.Errorf("%q is this machine and Google's", text)
		}
	})
}
