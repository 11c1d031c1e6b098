package keys

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// Certify sets the domains and further addresses that the ring's authority certifies. Without a call of
// Certify, the authority certifies only this machine. Call it before the ring is used.
func (r *Ring) Certify(domains []string, addresses ...netip.Addr) {
	r.domains, r.addresses = slices.Clone(domains), slices.Clone(addresses)
}

// hosts returns the domains of Google's below which no name leads to the emulator.
func hosts() []string { return []string{"accounts.google.com", "www.gstatic.com"} }

// permitted holds everything that an authority certifies.
type permitted struct {
	domains   []string
	addresses []netip.Prefix
}

// permitted returns everything that the ring's authority certifies.
func (r *Ring) permitted() permitted {
	p := permitted{
		domains:   append([]string{"localhost"}, r.domains...), // earlier versions, which use other files, have it at the end
		addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
	}
	for _, address := range r.addresses {
		p.addresses = append(p.addresses, netip.PrefixFrom(address, address.BitLen()))
	}
	return p
}

// permittedBy returns everything that the certificate of an authority permits.
func permittedBy(authority *x509.Certificate) permitted {
	p := permitted{domains: authority.PermittedDNSDomains}
	for _, network := range authority.PermittedIPRanges {
		address, _ := netip.AddrFromSlice(network.IP)
		bits, _ := network.Mask.Size()
		p.addresses = append(p.addresses, netip.PrefixFrom(address, bits))
	}
	return p
}

// excluded returns the domains of hosts in the form of a constraint that the hosts themselves do not match.
func (p permitted) excluded() []string {
	var names []string
	for _, host := range hosts() {
		if slices.Contains(p.domains, host) {
			names = append(names, "."+host)
		}
	}
	return names
}

// networks returns the addresses in the form of package x509.
func (p permitted) networks() []*net.IPNet {
	networks := make([]*net.IPNet, len(p.addresses))
	for i, prefix := range p.addresses {
		networks[i] = &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())}
	}
	return networks
}

// constrain sets the name constraints of an authority's certificate (RFC 5280, section 4.2.1.10).
// Without a constraint for a kind of name, every name of that kind would be permitted.
func constrain(authority *x509.Certificate, to permitted) {
	authority.PermittedDNSDomainsCritical = true
	authority.PermittedDNSDomains, authority.ExcludedDNSDomains = to.domains, to.excluded()
	authority.PermittedIPRanges = to.networks()
	authority.PermittedURIDomains = []string{nobody}
	authority.PermittedEmailAddresses = []string{nobody}
}

// isConstrained reports whether an authority's certificate has the name constraints set by
// constrain.
func isConstrained(authority *x509.Certificate, to permitted) bool {
	isSame := func(a, b *net.IPNet) bool { return a.String() == b.String() }
	return slices.Equal(authority.PermittedDNSDomains, to.domains) && slices.Equal(authority.ExcludedDNSDomains, to.excluded()) && slices.EqualFunc(authority.PermittedIPRanges, to.networks(), isSame) &&
		slices.Equal(authority.PermittedURIDomains, []string{nobody}) && slices.Equal(authority.PermittedEmailAddresses, []string{nobody})
}

// permits reports whether the name constraints of an authority's certificate permit a host name.
func permits(authority *x509.Certificate, host string) bool {
	isIn := func(domain string) bool {
		return host == domain || strings.HasSuffix(host, "."+strings.TrimPrefix(domain, "."))
	}
	return slices.ContainsFunc(authority.PermittedDNSDomains, isIn) && !slices.ContainsFunc(authority.ExcludedDNSDomains, isIn)
}

// permitsAddress reports whether the name constraints of an authority's certificate permit an address.
func permitsAddress(authority *x509.Certificate, address netip.Addr) bool {
	return slices.ContainsFunc(authority.PermittedIPRanges, func(n *net.IPNet) bool { return n.Contains(address.AsSlice()) })
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
	case notAddress == nil && permitsAddress(a.cert, address):
		return nil, []net.IP{address.AsSlice()}, nil
	case !permits(a.cert, host):
		return nil, nil, fmt.Errorf("%w, not %q", ErrNotOurs, host)
	default:
		return []string{host}, nil, nil
	}
}
