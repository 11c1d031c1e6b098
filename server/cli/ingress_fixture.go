package cli

import (
	"encoding/json"
	"slices"
	"strings"

	"gcp-metadata-emulator/fixtures"
)

// fixture returns the default world with the service as its only instance, in JSON.
func (c *ingressCommand) fixture() ([]byte, error) {
	invokers, role, authentication := []string{defaultInvoker}, "roles/run.invoker", fixtures.AuthenticateInvoker
	if c.IAP {
		invokers, role, authentication = []string{defaultVisitor}, "roles/iap.httpsResourceAccessor", fixtures.AuthenticateIAP
	}
	if len(c.Invoker) > 0 {
		invokers = c.Invoker
	}
	world := fixtures.Default()
	account := c.Service + "@" + world.Project.ID + ".iam.gserviceaccount.com"
	addMissing(world, "serviceAccount:"+account)
	for _, member := range invokers {
		addMissing(world, member)
	}
	return json.Marshal(map[string]any{
		"serviceAccounts": emails(world.ServiceAccounts, func(a fixtures.ServiceAccount) string { return a.Email }),
		"users":           emails(world.Users, func(u fixtures.User) string { return u.Email }),
		"policies": append(world.Policies, fixtures.Policy{
			Resource: fixtures.ServiceResource(c.Service), Bindings: []fixtures.Binding{{Role: role, Members: invokers}},
		}),
		"instances": []any{map[string]any{
			"name": c.Service, "profile": fixtures.CloudRun,
			"serviceAccounts": []fixtures.AttachedAccount{{Email: account, Aliases: []string{"default"}}},
			"ingress": fixtures.Ingress{
				Upstream: c.Upstream, Listen: c.Door, CustomAudiences: c.Audience, Authentication: authentication,
			},
		}},
	})
}

// addMissing adds the service account or the user that a member names, unless it exists or belongs to
// another project.
func addMissing(world *fixtures.Fixture, member string) {
	kind, email, ok := cutMember(member)
	if !ok || !fixtures.IsEmail(email) {
		return // the fixture's reader knows whether it is a member
	}
	switch kind {
	case "user":
		if !slices.ContainsFunc(world.Users, func(u fixtures.User) bool { return u.Email == email }) {
			world.Users = append(world.Users, fixtures.User{Email: email})
		}
	case "serviceAccount":
		isOfProject := strings.HasSuffix(email, "@"+world.Project.ID+".iam.gserviceaccount.com")
		if isOfProject && !slices.ContainsFunc(world.ServiceAccounts, func(a fixtures.ServiceAccount) bool { return a.Email == email }) {
			world.ServiceAccounts = append(world.ServiceAccounts, fixtures.ServiceAccount{Email: email})
		}
	}
}

// cutMember returns the kind and the name of a member.
func cutMember(member string) (kind, name string, ok bool) { return strings.Cut(member, ":") }

// emails returns accounts in the form of a fixture, with their e-mail addresses alone.
func emails[T any](accounts []T, email func(T) string) []map[string]string {
	list := make([]map[string]string, len(accounts))
	for i, account := range accounts {
		list[i] = map[string]string{"email": email(account)}
	}
	return list
}
