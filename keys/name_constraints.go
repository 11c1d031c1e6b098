package keys

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// Certify sets the domains whose names the ring's authority certifies. Without a call of
// Certify, the authority certifies only this machine. Callers call it before they use the ring.
func (r *Ring) Certify(domains []string) { r.domains = slices.Clone(domains) }

// permittedDomains returns the permitted domains of the authority's certificate.
func (r *Ring) permittedDomains() []string { return append(slices.Clone(r.domains), "localhost") }

// constrain sets the name constraints of an authority's certificate (RFC 5280, section 4.2.1.10).
// Without a constraint for a kind of name, every name of that kind would be permitted.
func constrain(authority *x509.Certificate, domains []string) {
	authority.PermittedDNSDomainsCritical = true
	authority.PermittedDNSDomains = domains
	authority.PermittedIPRanges = []*net.IPNet{
		{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)},
		{IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)},
	}
	authority.PermittedURIDomains = []string{nobody}
	authority.PermittedEmailAddresses = []string{nobody}
}

// isConstrained reports whether an authority's certificate has the name constraints set by
// constrain.
func isConstrained(authority *x509.Certificate, domains []string) bool {
	return slices.Equal(authority.PermittedDNSDomains, domains) &&
		slices.Equal(authority.PermittedURIDomains, []string{nobody}) && slices.Equal(authority.PermittedEmailAddresses, []string{nobody})
}

// permits reports whether the name constraints of an authority's certificate permit a host name.
func permits(authority *x509.Certificate, host string) bool {
	return slices.ContainsFunc(authority.PermittedDNSDomains, func(domain string) bool {
		return host == domain || strings.HasSuffix(host, "."+domain)
	})
}

// nobody is a host name that can never exist (RFC 6761, section 6.4).
const nobody = "nobody.invalid"

// subjects returns the names and addresses in a certificate for host. A certificate for this
// machine covers localhost and the loopback addresses.
func (a *Authority) subjects(host string) (names []string, addresses []net.IP, err error) {
	address, notAddress := netip.ParseAddr(host)
	switch {
	case host == "localhost", notAddress == nil && address.IsLoopback():
		addresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
		if own := net.IP(address.AsSlice()); own != nil && !slices.ContainsFunc(addresses, own.Equal) {
			addresses = append(addresses, own)
		}
		return []string{"localhost"}, addresses, nil
	case !permits(a.cert, host):
		return nil, nil, fmt.Errorf("%w, not %q", ErrNotOurs, host)
	default:
		return []string{host}, nil, nil
	}
}
