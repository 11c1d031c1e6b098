package hostname

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Target is a destination that a proxy may connect to: a host, all hosts below a domain, or all
// hosts, on one port or on all ports. The zero value matches no host.
type Target struct {
	name string // in the form of a name for IsListed
	port string // empty: all
}

// IsAny reports whether a target stands for all hosts.
func (t Target) IsAny() bool { return t.name == anyHost }

// Matches reports whether a target includes a port of a host, which is in the form of Of.
func (t Target) Matches(host, port string) bool {
	return IsListed(host, []string{t.name}) && (t.port == "" || t.port == port)
}

// UnmarshalText reads HOST, *.DOMAIN or *, each with an optional :PORT.
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
	return fmt.Errorf("%q is not a host: write example.com, example.com:443, *.example.com or *", text)
}

// isName reports whether a text can be a host in the form of Of.
func isName(text string) bool {
	if _, err := netip.ParseAddr(text); err == nil {
		return true
	}
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789-_."
	return text != "" && strings.Trim(text, letters) == ""
}
