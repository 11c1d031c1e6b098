package world_test

import (
	"testing"
	"time"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/server/world/worldtest"
)

// A policy of the project holds for its service accounts; one of an account for it alone.
func TestMay(t *testing.T) {
	t.Parallel()
	w := worldtest.Parse(t, `
serviceAccounts: [{email: a@example.com}, {email: b@example.com}]
users: [{email: one@example.com}, {email: all@example.com}, {email: grouped@example.com}, {email: nobody@example.com}]
groups: [{email: team@example.com, members: ["user:grouped@example.com"]}]
policies:
  - resource: serviceAccounts/a@example.com
    bindings: [{role: roles/iam.serviceAccountTokenCreator, members: ["user:one@example.com"]}]
  - resource: serviceAccounts/a@example.com
    bindings: [{role: roles/iam.serviceAccountTokenCreator, members: ["group:team@example.com"]}]
  - resource: project
    bindings: [{role: roles/iam.serviceAccountTokenCreator, members: ["user:all@example.com"]}]
`)
	for name, want := range map[string][3]bool{ // on a, on b, on the project
		"one": {true, false, false}, "all": {true, true, true}, "grouped": {true, false, false}, "nobody": {},
	} {
		user, ok := w.User(name + "@example.com")
		if !ok {
			t.Fatalf("no user %q", name)
		}
		a, _ := w.Account("a@example.com")
		b, _ := w.Account("b@example.com")
		for i, on := range []*world.ServiceAccount{a, b, nil} {
			if got := w.May(user.Principal(), iam.GetAccessToken, on, time.Time{}); got != want[i] {
				t.Errorf("%s on resource %d: %t, want %t", name, i, got, want[i])
			}
		}
	}
}

func TestProvider(t *testing.T) {
	t.Parallel()
	w := worldtest.Parse(t, `
project: {id: my-project, number: 7}
workloadIdentityPools:
  - {id: good, providers: [{id: mine, issuer: "https://example.com"}, {id: shut, disabled: true, issuer: "https://example.com"}]}
  - {id: closed, disabled: true, providers: [{id: mine, issuer: "https://example.com"}]}
`)
	const pools = "//iam.googleapis.com/projects/7/locations/global/workloadIdentityPools/"
	for audience, want := range map[string]bool{
		pools + "good/providers/mine": true, pools + "good/providers/shut": false, pools + "closed/providers/mine": false,
		pools + "good/providers/none": false, "good/providers/mine": false, "": false,
	} {
		pool, provider, ok := w.Provider(audience)
		if ok != want {
			t.Errorf("%q: %t, want %t", audience, ok, want)
		}
		if !ok {
			continue
		}
		who, err := provider.Principal(pool, map[string]any{"sub": "me"})
		if provider.Name != pool.Name+"/providers/mine" || who.ID != "me" || err != nil {
			t.Errorf("%q is %+v of %+v: %v, %v", audience, provider, pool, who, err)
		}
	}
}
