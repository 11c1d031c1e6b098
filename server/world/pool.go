package world

import (
	"cmp"
	"fmt"
	"strings"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/condition"
	"gcp-metadata-emulator/server/iam"
)

// Pool is a workload identity pool: identities that other providers vouch for.
type Pool struct {
	Name      string // projects/NUMBER/locations/global/workloadIdentityPools/ID
	Disabled  bool
	Providers []*Provider
}

// Provider is an OpenID Connect issuer that a pool trusts.
type Provider struct {
	Name     string // POOL/providers/ID
	Disabled bool
	Issuer   string
	OwnKeys  bool           // tokens are signed with Google's keys, which are the emulator's own
	Keys     []fixtures.Key // and else with these

	AllowedAudiences []string // none: the provider's own name, with or without https:

	mapping     []mappedAttribute // by name; nil: google.subject is the subject of the token
	condition   *condition.Attributes
	conditional bool // there is a condition; one that is broken accepts nobody
}

// WorkforcePool is the workforce identity pool of an emulator: its members are the users of
// the fixture, by their e-mail addresses.
const WorkforcePool = "locations/global/workforcePools/demo-workforce"

// Workforce is the user as a member of the workforce identity pool.
func (u *User) Workforce() iam.Principal {
	return iam.Principal{Kind: iam.KindFederated, Pool: WorkforcePool, ID: u.Email}
}

// addPools makes the pools that a fixture describes. The error says which expression is broken.
func (w *World) addPools(f *fixtures.Fixture) error {
	var mistake error
	for i, described := range f.WorkloadIdentityPools {
		pool := &Pool{
			Name:     fmt.Sprintf("projects/%d/locations/global/workloadIdentityPools/%s", w.Project.Number, described.ID),
			Disabled: described.Disabled,
		}
		for j, d := range described.Providers {
			provider := newProvider(pool.Name, d)
			mistake = cmp.Or(mistake, provider.compile(f, d, fixtures.Path{"workloadIdentityPools", i, "providers", j}))
			pool.Providers = append(pool.Providers, provider)
		}
		w.Pools = append(w.Pools, pool)
	}
	return mistake
}

func newProvider(pool string, f fixtures.WorkloadIdentityProvider) *Provider {
	return &Provider{
		Name: pool + "/providers/" + f.ID, Disabled: f.Disabled, Issuer: f.Issuer, OwnKeys: f.JWKS == nil, Keys: f.JWKS,
		AllowedAudiences: f.AllowedAudiences,
	}
}

// Provider finds a provider that can be used, by its full resource name as a token exchange
// names it: //iam.googleapis.com/projects/NUMBER/…/providers/ID.
func (w *World) Provider(audience string) (*Pool, *Provider, bool) {
	name, _ := strings.CutPrefix(audience, "//iam.googleapis.com/")
	for _, pool := range w.Pools {
		for _, provider := range pool.Providers {
			if provider.Name == name {
				return pool, provider, !pool.Disabled && !provider.Disabled
			}
		}
	}
	return nil, nil, false
}
