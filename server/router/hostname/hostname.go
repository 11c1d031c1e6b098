// Package hostname knows which host names are Google's (those of its APIs, of its accounts and of
// the metadata server) and which are names of this machine.
//
// What is served under which of them is for the server to say.
package hostname

import (
	"net"
	"net/netip"
	"strings"
)

// Google's API hosts are below one domain, except for a few.
const (
	apis     = "googleapis.com"
	accounts = "accounts.google.com"
	static   = "www.gstatic.com"
)

// The names of the metadata server, which need no answer of the public DNS
// (https://cloud.google.com/compute/docs/metadata/querying-metadata).
const (
	metadataLabel  = "metadata"
	metadataName   = "metadata.google.internal"
	metadataPublic = "metadata.goog"
)

// Of is the host in a Host header or in an address to connect to: in lower case, without a
// port, brackets or a final dot. An address is in its shortest form, and one of IPv4 that is
// written as one of IPv6 (RFC 4291, section 2.5.5.2) is itself.
func Of(hostport string) string {
	host := hostport
	if name, _, err := net.SplitHostPort(hostport); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if !strings.Contains(host, ":") {
		return host
	}
	if address, err := netip.ParseAddr(host); err == nil {
		return address.Unmap().String()
	}
	return host
}

// IsGoogle tells whether a host, in the form of Of, is one of Google's API hosts.
func IsGoogle(host string) bool {
	return strings.HasSuffix(host, "."+apis) || host == accounts || host == static
}

// IsMetadata tells whether a host, in the form of Of, is a name of the metadata server.
func IsMetadata(host string) bool {
	return host == metadataLabel || host == metadataName || host == metadataPublic
}

// IsMetadataAddress tells whether a host, in the form of Of, is an address of the metadata server.
func IsMetadataAddress(host string) bool {
	address, err := netip.ParseAddr(host)
	return err == nil && (address.String() == "169.254.169.254" || address.String() == "fd20:ce::254")
}

// IsOfGoogle reports whether a host, in the form of Of, is one of Google's: an API host, or a name
// or an address of the metadata server.
func IsOfGoogle(host string) bool {
	return IsGoogle(host) || IsMetadata(host) || IsMetadataAddress(host)
}

// localhost is the name of this machine, and the domain of further names for it.
const localhost = "localhost"

// IsLocalhost reports whether a host, in the form of Of, is this machine by the name localhost or
// by a loopback address.
func IsLocalhost(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == localhost || err == nil && address.IsLoopback()
}

// IsLoopback reports whether a host, in the form of Of, leads to this machine on every system that
// follows RFC 6761, section 6.3: IsLocalhost, or a name below localhost. The emulator's instances
// have such names, and not every resolver knows them.
func IsLoopback(host string) bool {
	return IsLocalhost(host) || strings.HasSuffix(host, "."+localhost)
}

// Domains are the domains that hold Google's names, without the name of the metadata server
// that has no dot.
func Domains() []string { return []string{apis, accounts, static, metadataName, metadataPublic} }

// anyHost is the name that stands for every host in a list.
const anyHost = "*"

// IsListed tells whether a host, in the form of Of, is on a list of names. There "*" is any
// host, and "*.example.com" any below that domain.
func IsListed(host string, names []string) bool {
	for _, name := range names {
		domain, isDomain := strings.CutPrefix(name, anyHost)
		switch {
		case name == anyHost, Of(name) == host:
			return true
		case isDomain && strings.HasPrefix(domain, ".") && strings.HasSuffix(host, strings.ToLower(domain)):
			return true
		}
	}
	return false
}
