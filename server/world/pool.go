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
	Disabled  bool   // or deleted
	Providers []*Provider

	described fixtures.WorkloadIdentityPool
}

// Provider is an identity provider that a pool trusts: an OpenID Connect issuer, an account of AWS,
// or a SAML 2.0 identity provider. It has exactly one of Issuer, AWS and SAML.
type Provider struct {
	Name     string // POOL/providers/ID
	Disabled bool   // or deleted
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
		pool, err := w.newPool(f, described, fixtures.Path{"workloadIdentityPools", i})
		mistake = cmp.Or(mistake, err)
		w.Pools = append(w.Pools, pool)
	}
	return mistake
}

// newPool makes a pool. at is its path in the fixture. The error names the first broken expression.
func (w *World) newPool(f *fixtures.Fixture, described fixtures.WorkloadIdentityPool, at fixtures.Path) (*Pool, error) {
	pool := &Pool{
		Name: w.PoolName(described.ID), Disabled: described.Disabled || !described.DeleteTime.IsZero(), described: described,
	}
	var mistake error
	for i, d := range described.Providers {
		provider := newProvider(pool.Name, d)
		mistake = cmp.Or(mistake, provider.compile(f, d, at.To("providers", i)))
		pool.Providers = append(pool.Providers, provider)
	}
	return pool, mistake
}

// DescribedPools returns the pools of the project as a fixture describes them.
func (w *World) DescribedPools() []fixtures.WorkloadIdentityPool {
	list := make([]fixtures.WorkloadIdentityPool, len(w.Pools))
	for i, pool := range w.Pools {
		list[i] = pool.described
	}
	return list
}

// DescribedPool finds a pool of the project by its ID.
func (w *World) DescribedPool(id string) (fixtures.WorkloadIdentityPool, bool) {
	i := w.poolIndex(id)
	if i < 0 {
		return fixtures.WorkloadIdentityPool{}, false
	}
	return w.Pools[i].described, true
}

func (w *World) poolIndex(id string) int {
	return slices.IndexFunc(w.Pools, func(pool *Pool) bool { return pool.described.ID == id })
}

// WithPool returns a world with a pool. If there is a pool with the same ID, the new pool replaces
// it. The error names a broken expression of the pool's providers.
func (w *World) WithPool(described fixtures.WorkloadIdentityPool) (*World, error) {
	pool, err := w.newPool(&fixtures.Fixture{}, described, nil)
	if err != nil {
		return nil, err
	}
	edited := *w
	edited.Pools = slices.Clone(w.Pools)
	if i := w.poolIndex(described.ID); i >= 0 {
		edited.Pools[i] = pool
	} else {
		edited.Pools = append(edited.Pools, pool)
	}
	return &edited, nil
}

// PoolName returns the resource name of a pool of the project.
func (w *World) PoolName(id string) string {
	return fmt.Sprintf("projects/%d/locations/global/workloadIdentityPools/%s", w.Project.Number, id)
}

// GitHubIssuer is the issuer of the ID tokens of GitHub Actions
// (https://docs.github.com/en/actions/reference/security/oidc).
const GitHubIssuer = "https://token.actions.githubusercontent.com"

func issuerOf(f fixtures.WorkloadIdentityProvider) string {
	if f.Issuer == fixtures.GitHubActions {
		return GitHubIssuer
	}
	return f.Issuer
}

func newProvider(pool string, f fixtures.WorkloadIdentityProvider) *Provider {
	provider := &Provider{
		Name: pool + "/providers/" + f.ID, Disabled: f.Disabled || !f.DeleteTime.IsZero(), Issuer: issuerOf(f), AWS: f.AWS, OwnKeys: f.Issuer != "" && f.JWKS == nil, Keys: f.JWKS,
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
		poolName = w.PoolName(id)
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
