// Package hostname tells the host names of Google (its APIs, its accounts and the metadata server)
// from the names of this machine and from other names.
//
// It does not know which of them the emulator answers for.
package hostname

import (
	"net"
	"net/netip"
	"slices"
	"strings"
)

// Hosts of Google's APIs. Nearly all other API hosts are below apis.
const (
	apis     = "googleapis.com"
	accounts = "accounts.google.com"
	static   = "www.gstatic.com"
)

// The domains of services on Cloud Run, and of functions
// (https://cloud.google.com/run/docs/triggering/https-request).
const (
	services  = "run.app"
	functions = "cloudfunctions.net"
)

// The names of the metadata server, which the public DNS need not know
// (https://cloud.google.com/compute/docs/metadata/querying-metadata).
const (
	metadataLabel  = "metadata"
	metadataName   = "metadata.google.internal"
	metadataPublic = "metadata.goog"
)

// Of returns the host of a Host header or of an address to connect to: in lower case, without a
// port, brackets or a final dot. An IP address is in its shortest form, and an IPv4-mapped IPv6
// address (RFC 4291, section 2.5.5.2) is the IPv4 address.
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

// IsGoogle reports whether a host, in the form of Of, is one of Google's API hosts.
func IsGoogle(host string) bool {
	return strings.HasSuffix(host, "."+apis) || host == accounts || host == static
}

// DefaultUniverse is the domain of Google's own universe. Others have the same APIs below a domain
// of their own.
const DefaultUniverse = apis

// Canonical returns the name that a host of a universe has at Google, both in the form of Of:
// sts.googleapis.com for sts.example.goog in the universe example.goog. Other hosts are returned as
// they are.
func Canonical(host, universe string) string {
	api, ok := strings.CutSuffix(host, "."+universe)
	if !ok || universe == "" || universe == apis {
		return host
	}
	return api + "." + apis
}

// DomainsOf returns Domains and the domain of a universe.
func DomainsOf(universe string) []string {
	if universe == "" || universe == apis {
		return Domains()
	}
	return append(Domains(), universe)
}

// MainOf returns the main name of an API for its mutual-TLS and regional names, and any other host as
// it is.
func MainOf(host string) string {
	label, rest, _ := strings.Cut(host, ".")
	switch at := strings.LastIndexByte(label, '-'); {
	case rest == "mtls."+apis || strings.HasSuffix(rest, ".rep."+apis):
		return label + "." + apis
	case at >= 0 && rest == apis:
		return label[at+1:] + "." + apis // us-central1-run
	default:
		return host
	}
}

// Path is the beginning of paths that name an API host of Google, for programs that take a URL but
// cannot look up the host: /hosts/pubsub.googleapis.com/v1/topics stands for /v1/topics of this host.
const Path = "/hosts/"

// IsMetadata reports whether a host, in the form of Of, is a name of the metadata server.
func IsMetadata(host string) bool {
	return host == metadataLabel || host == metadataName || host == metadataPublic
}

// IsMetadataAddress reports whether a host, in the form of Of, is an address of the metadata server.
func IsMetadataAddress(host string) bool {
	address, err := netip.ParseAddr(host)
	return err == nil && slices.Contains(MetadataAddresses(), address)
}

// MetadataAddresses returns the addresses of the metadata server.
func MetadataAddresses() []netip.Addr {
	return []netip.Addr{netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("fd20:ce::254")}
}

// IsService reports whether a host, in the form of Of, can only be a service on Cloud Run or a
// function.
func IsService(host string) bool {
	return strings.HasSuffix(host, "."+services) || strings.HasSuffix(host, "."+functions)
}

// IsOfGoogle reports whether a host, in the form of Of, belongs to Google: an API host, a service, or
// a name or an address of the metadata server.
func IsOfGoogle(host string) bool {
	return IsGoogle(host) || IsService(host) || IsMetadata(host) || IsMetadataAddress(host)
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

// Domains returns the domains of all Google's names, except the name of the metadata server without
// a dot.
func Domains() []string {
	return []string{apis, accounts, static, services, functions, metadataName, metadataPublic}
}
