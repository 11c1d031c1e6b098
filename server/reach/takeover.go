package reach

import (
	"net/netip"
	"slices"
	"strings"

	"gcp-metadata-emulator/server/router/hostname"
)

// MetadataAddress is the address of Google's metadata server, which some programs have
// compiled in (https://cloud.google.com/compute/docs/metadata/querying-metadata).
const MetadataAddress = "169.254.169.254"

// TLSAddress is the address for the names of APIs if the emulator takes the place of Google's
// servers.
const TLSAddress = "127.0.0.1"

// HostsLine is a line of a hosts file.
type HostsLine struct {
	Address string
	Names   []string
}

func (l HostsLine) String() string { return l.Address + " " + strings.Join(l.Names, " ") }

// apiNames returns the names of the APIs that an emulator plays, below googleapis.com.
func apiNames() []string {
	return []string{"cloudresourcemanager", "compute", "iam", "iamcredentials", "identitytoolkit", "oauth2", "openidconnect", "run", "securetoken", "sts", "www"}
}

// UniverseHosts returns the host names of the APIs in a universe other than Google's own. Storage is
// among them, because the name exists nowhere else.
func UniverseHosts(universe string) []string {
	if universe == "" || universe == hostname.DefaultUniverse {
		return nil
	}
	var hosts []string
	for _, api := range append(apiNames(), "storage") {
		hosts = append(hosts, api+"."+universe)
	}
	return hosts
}

// HostsLines returns lines that map the names of an emulator, and further names, to the two addresses
// above. They lack regional names (sts.us-east1.rep.googleapis.com), because there are too many for a
// hosts file.
func HostsLines(further ...string) []HostsLine {
	apis := []string{"accounts.google.com", "www.gstatic.com"}
	for _, api := range apiNames() {
		apis = append(apis, api+".googleapis.com", api+".mtls.googleapis.com")
	}
	apis = append(apis, further...)
	slices.Sort(apis)
	apis = slices.Compact(apis)
	return []HostsLine{
		// The C library needs an entry of its own for a name with a final dot.
		{MetadataAddress, []string{"metadata.google.internal", "metadata.google.internal.", "metadata", "metadata.goog"}},
		{TLSAddress, apis},
	}
}

// Takeover returns the variables to set and to remove if the emulator takes the place of Google's
// servers. Programs need no address. If a runtime does not use the roots of the system, it needs the
// file of roots in the target's Proxy. Variables with other addresses, and proxies, would lead past
// the emulator, so Takeover removes them.
func (t Target) Takeover() (set []Variable, unset []string) {
	set = slices.Concat(t.proxy().trusting(), t.gcloud(), t.withoutCertificates(), t.universe(), t.own())
	unset = t.Obstacles()
	for _, variable := range t.Variables() {
		isSame := func(one Variable) bool { return one.Name == variable.Name }
		if !slices.ContainsFunc(set, isSame) {
			unset = append(unset, variable.Name)
		}
	}
	return set, unset
}

// Resolve returns the address of a name if the emulator takes the place of Google's servers in a
// universe. If a domain has no address itself, the address is invalid. exists reports whether the
// name is one of Google's, or of this machine. All names of Google's APIs exist, whether or not the
// emulator plays the API: it tells their clients at once that it does not.
func Resolve(name, universe string) (address netip.Addr, exists bool) {
	host := hostname.Of(name)
	metadata, apis := netip.MustParseAddr(MetadataAddress), netip.MustParseAddr(TLSAddress)
	switch {
	case hostname.IsMetadata(host) || strings.HasSuffix(host, ".google.internal"):
		return metadata, true
	case hostname.IsGoogle(hostname.Canonical(host, universe)) || hostname.IsService(host) || hostname.IsLoopback(host):
		return apis, true
	default:
		return netip.Addr{}, slices.Contains(append(hostname.DomainsOf(universe), "google.internal"), host)
	}
}
