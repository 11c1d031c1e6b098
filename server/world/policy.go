package world

import (
	"strings"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/iam"
)

// addPolicies makes policies and groups of what a fixture describes. The service accounts
// are there already.
func (w *World) addPolicies(f *fixtures.Fixture) {
	members := make(map[string][]string, len(f.Groups))
	for _, group := range f.Groups {
		members[group.Email] = group.Members
	}
	w.groups = iam.NewGroups(members)

	bindings := map[string][]iam.Binding{} // a fixture may describe a resource in several places
	for _, policy := range f.Policies {
		id := projectPolicy
		if strings.HasPrefix(policy.Resource, fixtures.ServiceResource("")) {
			id = policy.Resource
		}
		if email, ok := strings.CutPrefix(policy.Resource, "serviceAccounts/"); ok {
			account, ok := w.Account(email)
			if !ok { // a fixture refers to accounts that exist, or have existed
				account, ok = w.deletedAccount(email)
			}
			if !ok {
				continue
			}
			id = account.UniqueID
		}
		for _, b := range policy.Bindings {
			bindings[id] = append(bindings[id], iam.Binding{
				Role: b.Role, Members: b.Members, Condition: (*iam.Condition)(b.Condition),
			})
		}
	}
	w.policies = make(map[string]*iam.Policy, len(bindings))
	for id, list := range bindings {
		w.policies[id] = iam.NewPolicy(list)
	}
}

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

// May tells whether a principal has a permission on a service account, by the account's own
// policy or by the project's, or on the project where the account is nil.
func (w *World) May(who iam.Principal, permission string, on *ServiceAccount) bool {
	identities := w.groups.With(who.Identities())
	return w.Policy(nil).Grants(permission, identities) || on != nil && w.Policy(on).Grants(permission, identities)
}
