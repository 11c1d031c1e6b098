package hostname

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Target is where a proxy may connect to: a host, every host below a domain, or any; on one port
// or on all. The zero value is no host.
type Target struct {
	name string // as IsListed takes it
	port string // empty: any
}

// IsAny tells whether a target is any host.
func (t Target) IsAny() bool { return t.name == anyHost }

// Matches tells whether a host, in the form of Of, and a port are what a target means.
func (t Target) Matches(host, port string) bool {
	return IsListed(host, []string{t.name}) && (t.port == "" || t.port == port)
}

// UnmarshalText reads HOST, *.DOMAIN or *, each with :PORT or without.
func (t *Target) UnmarshalText(text []byte) error {
	name, port := string(text), ""
	if host, number, err := net.SplitHostPort(name); err == nil {
		name, port = host, number
		if n, err := strconv.ParseUint(number, 10, 16); err != nil || n == 0 {
			return targetError(text)
		}
	}
	name = Of(name)
	if !isName(strings.TrimPrefix(name, "*.")) && name != anyHost {
		return targetError(text)
	}
	*t = Target{name, port}
	return nil
}

func targetError(text []byte) error {
	return fmt.Errorf("%q is no host: write example.com, example.com:443, *.example.com or *", text)
}

// isName tells whether a text can be a host in the form of Of.
func isName(text string) bool {
	if _, err := netip.ParseAddr(text); err == nil {
		return true
	}
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789-_."
	return text != "" && strings.Trim(text, letters) == ""
}
