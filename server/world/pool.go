package world

import (
	"cmp"
	"fmt"
	"path"
	"slices"
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

// Provider is an identity provider that a pool trusts: an OpenID Connect issuer, an account of AWS,
// or a SAML 2.0 identity provider. Of Issuer, AWS and SAML, it has one.
type Provider struct {
	Name     string // POOL/providers/ID
	Disabled bool
	Issuer   string
	AWS      *fixtures.AWSProvider
	SAML     *fixtures.SAMLTrust
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

// Workforce returns the user as a member of the workforce identity pool.
func (u *User) Workforce() iam.Principal {
	return iam.Principal{Kind: iam.KindFederated, Pool: WorkforcePool, ID: u.Email}
}

// addPools adds the pools of a fixture. The error names the first broken expression.
func (w *World) addPools(f *fixtures.Fixture) error {
	var mistake error
	for i, described := range f.WorkloadIdentityPools {
		pool := &Pool{
			Name:     w.poolName(described.ID),
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

// poolName returns the resource name of a pool of the project.
func (w *World) poolName(id string) string {
	return fmt.Sprintf("projects/%d/locations/global/workloadIdentityPools/%s", w.Project.Number, id)
}

func newProvider(pool string, f fixtures.WorkloadIdentityProvider) *Provider {
	provider := &Provider{
		Name: pool + "/providers/" + f.ID, Disabled: f.Disabled, Issuer: f.Issuer, AWS: f.AWS, OwnKeys: f.Issuer != "" && f.JWKS == nil, Keys: f.JWKS,
		AllowedAudiences: f.AllowedAudiences,
	}
	if f.SAML != nil {
		trust, _ := f.SAML.Trust() // a fixture that was read describes one
		provider.SAML = &trust
	}
	if id := path.Base(pool); fixtures.IsClusterPool(id) && len(f.AllowedAudiences) == 0 {
		provider.AllowedAudiences = []string{id}
	}
	return provider
}

// Pool finds a workload identity pool by its resource name.
func (w *World) Pool(name string) (*Pool, bool) {
	for _, pool := range w.Pools {
		if pool.Name == name {
			return pool, true
		}
	}
	if w.clusters != nil && w.clusters.Name == name {
		return w.clusters, true
	}
	return nil, false
}

// IAMHost begins the full resource names of IAM.
const IAMHost = "//iam.googleapis.com/"

// Provider finds an enabled provider by the audience of a token exchange: the provider's full
// resource name, //iam.googleapis.com/projects/NUMBER/…/providers/ID, or the audience of a cluster
// (see ClusterAudience).
func (w *World) Provider(audience string) (*Pool, *Provider, bool) {
	poolName, _, _ := strings.Cut(strings.TrimPrefix(audience, IAMHost), "/providers/")
	is := func(provider *Provider) bool { return IAMHost+provider.Name == audience }
	if id, issuer, ok := ClusterAudience(audience); ok {
		poolName = w.poolName(id)
		is = func(provider *Provider) bool { return provider.Issuer == issuer }
	}
	pool, ok := w.Pool(poolName)
	if !ok {
		return nil, nil, false
	}
	at := slices.IndexFunc(pool.Providers, is)
	if at < 0 {
		return nil, nil, false
	}
	return pool, pool.Providers[at], !pool.Disabled && !pool.Providers[at].Disabled
}
