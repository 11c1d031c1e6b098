package world

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/condition"
	"gcp-metadata-emulator/server/iam"
)

// addPolicies makes policies and groups of what a fixture describes. The service accounts
// are there already. The error says which condition is broken.
func (w *World) addPolicies(f *fixtures.Fixture) error {
	members := make(map[string][]string, len(f.Groups))
	for _, group := range f.Groups {
		members[group.Email] = group.Members
	}
	w.groups = iam.NewGroups(members)

	bindings := map[string][]iam.Binding{} // a fixture may describe a resource in several places
	places := map[string][]bindingPlace{}
	for i, policy := range f.Policies {
		id, ok := w.policyKey(policy.Resource)
		if !ok {
			continue
		}
		for j, b := range policy.Bindings {
			places[id] = append(places[id], bindingPlace{i, j})
			bindings[id] = append(bindings[id], iam.Binding{
				Role: b.Role, Members: b.Members, Condition: (*iam.Condition)(b.Condition),
			})
		}
	}
	w.policies = make(map[string]*iam.Policy, len(bindings))
	var mistake error
	for _, id := range slices.Sorted(maps.Keys(bindings)) {
		policy := iam.NewPolicy(bindings[id])
		w.policies[id] = policy
		broken, isBroken := errors.AsType[*iam.BindingError](policy.Check())
		if isBroken && mistake == nil {
			at := places[id][broken.Index]
			mistake = refuse(f, fixtures.Path{"policies", at.policy, "bindings", at.binding, "condition", "expression"}, broken.Err)
		}
	}
	return mistake
}

// policyKey returns the key of the policy of a resource that a fixture names.
func (w *World) policyKey(resource string) (key string, ok bool) {
	if strings.HasPrefix(resource, fixtures.ServiceResource("")) {
		return resource, true
	}
	email, isAccount := strings.CutPrefix(resource, "serviceAccounts/")
	if !isAccount {
		return projectPolicy, true
	}
	account, ok := w.Account(email)
	if !ok { // a fixture refers to accounts that exist, or have existed
		account, ok = w.deletedAccount(email)
	}
	return account.UniqueID, ok
}

// bindingPlace is where a binding stands in a fixture.
type bindingPlace struct{ policy, binding int }

// projectPolicy is the key of the project's policy among those of service accounts.
const projectPolicy = ""

// Policy is the policy of a service account, or of the project where the account is nil. It
// is nil where there is none.
func (w *World) Policy(on *ServiceAccount) *iam.Policy {
	if on == nil {
		return w.policies[projectPolicy]
	}
	return w.policies[on.UniqueID]
}

// May reports whether a principal has a permission at a moment on a service account, by the
// account's own policy or by the project's, or on the project if the account is nil.
func (w *World) May(who iam.Principal, permission string, on *ServiceAccount, at time.Time) bool {
	identities := w.groups.With(who.Identities())
	request := func() condition.Request { return condition.Request{Time: at, Resource: w.resource(on)} }
	return w.Policy(nil).Grants(permission, identities, request) ||
		on != nil && w.Policy(on).Grants(permission, identities, request)
}

// resource describes a service account, or the project if the account is nil, to conditions.
func (w *World) resource(on *ServiceAccount) condition.Resource {
	project := "projects/" + w.Project.ID
	if on == nil {
		return condition.Resource{
			Service: "cloudresourcemanager.googleapis.com", Type: "cloudresourcemanager.googleapis.com/Project", Name: project,
		}
	}
	return condition.Resource{
		Service: "iam.googleapis.com", Type: "iam.googleapis.com/ServiceAccount", Name: project + "/serviceAccounts/" + on.Email,
	}
}
