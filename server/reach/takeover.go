package reach

import (
	"slices"
	"strings"
)

// MetadataAddress is the address of Google's metadata server, which some programs have
// compiled in (https://cloud.google.com/compute/docs/metadata/querying-metadata).
const MetadataAddress = "169.254.169.254"

// TLSAddress is where an emulator that has taken the place of Google's servers is found under
// the names of APIs.
const TLSAddress = "127.0.0.1"

// HostsLine is a line of a hosts file.
type HostsLine struct {
	Address string
	Names   []string
}

func (l HostsLine) String() string { return l.Address + " " + strings.Join(l.Names, " ") }

// HostsLines lead every name that an emulator answers for to the two addresses above. Names of
// regions (sts.us-east1.rep.googleapis.com) are too many for a hosts file.
func HostsLines() []HostsLine {
	apis := []string{"accounts.google.com", "www.gstatic.com"}
	for _, api := range []string{"cloudresourcemanager", "compute", "iam", "iamcredentials", "oauth2", "openidconnect", "securetoken", "sts", "www"} {
		apis = append(apis, api+".googleapis.com", api+".mtls.googleapis.com")
	}
	slices.Sort(apis)
	return []HostsLine{
		// The C library does not find a name with a final dot by the same name without.
		{MetadataAddress, []string{"metadata.google.internal", "metadata.google.internal.", "metadata", "metadata.goog"}},
		{TLSAddress, apis},
	}
}

// Takeover are the variables that programs need, and those to take away, where the emulator has
// taken the place of Google's servers. They need no address: only, for runtimes that do not ask
// the system, which roots to trust. Every other address and every proxy would lead past it.
// The target's Proxy says what to trust.
func (t Target) Takeover() (set []Variable, unset []string) {
	set = append(t.Proxy.trusting(), t.gcloud()...)
	set = append(set, t.own()...)
	unset = Obstacles()
	for _, variable := range t.Variables() {
		isSame := func(one Variable) bool { return one.Name == variable.Name }
		if !slices.ContainsFunc(set, isSame) {
			unset = append(unset, variable.Name)
		}
	}
	return set, unset
}
