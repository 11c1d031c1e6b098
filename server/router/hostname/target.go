package hostname

import (
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
)

// Target is a possible destination of a proxy: a pattern of hosts, on a single port or on all ports. The
// zero value matches no host.
type Target struct {
	Pattern

	port string // empty: all
}

// Includes reports whether a target includes a port of a host, which is in the form of Of.
func (t Target) Includes(host, port string) bool {
	return t.Matches(host) && (t.port == "" || t.port == port)
}

// Names reports whether a target names exactly this host, which is in the form of Of, and includes the
// port.
func (t Target) Names(host, port string) bool {
	return t.name == host && !t.isBelow && t.Includes(host, port)
}

// MeansGoogles reports whether a target includes this port of a host of Google's, in the form of Of, and its
// author meant a host of Google's. This is so if the target names the host, or stands for the names below a
// domain of Google's. A wider target, such as *.com or a range of addresses, includes the host by accident.
func (t Target) MeansGoogles(host, port string) bool {
	return t.Names(host, port) || t.isBelow && t.Includes(host, port) && isGoogles(t.name)
}

// isGoogles reports whether a domain is in Domains, or below a domain of Domains.
func isGoogles(domain string) bool {
	return slices.ContainsFunc(Domains(), func(d string) bool { return domain == d || strings.HasSuffix(domain, "."+d) })
}

// UnmarshalText reads a pattern with an optional :PORT.
func (t *Target) UnmarshalText(text []byte) error {
	name, port := string(text), ""
	if host, number, err := net.SplitHostPort(name); err == nil && isPort(number) {
		name, port = host, number
	}
	var pattern Pattern
	if wrong, ok := errors.AsType[*PatternError](pattern.UnmarshalText([]byte(name))); ok {
		return &PatternError{Text: string(text), hint: wrong.hint + "; a port from 1 to 65535 may follow, as in :443"}
	}
	*t = Target{pattern, port}
	return nil
}

func isPort(text string) bool {
	number, err := strconv.ParseUint(text, 10, 16)
	return err == nil && number != 0
}
