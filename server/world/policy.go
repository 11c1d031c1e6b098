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

// addPolicies adds the policies and groups of a fixture. The world already has the service
// accounts. The error names the first broken condition.
func (w *World) addPolicies(f *fixtures.Fixture) error {
	members := make(map[string][]string, len(f.Groups))
	for _, group := range f.Groups {
		members[group.Email] = group.Members
		if group.PosixGroup != nil {
			w.PosixGroups = append(w.PosixGroups, PosixGroup{*group.PosixGroup, group.Email})
		}
	}
	w.groups = iam.NewGroups(members)

	bindings := map[string][]iam.Binding{} // a fixture may describe a resource in several places
	places := map[string][]bindingPlace{}
	for i, policy := range f.Policies {
		id, ok := w.namedPolicyKey(policy.Resource)
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

// namedPolicyKey returns the key of the policy of a resource that a fixture names.
func (w *World) namedPolicyKey(resource string) (key string, ok bool) {
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

// bindingPlace is the position of a binding in a fixture.
type bindingPlace struct{ policy, binding int }

// projectPolicy is the key of the project's policy in the map of policies.
const projectPolicy = ""

// Resource is a service account or a service, which has a policy of its own besides the project's.
// A nil Resource stands for the project, and so does a nil *ServiceAccount.
type Resource interface {
	policyKey() string
	asResource(p Project) condition.Resource // as conditions see it
}

func (a *ServiceAccount) policyKey() string {
	if a == nil {
		return projectPolicy
	}
	return a.UniqueID
}

func (a *ServiceAccount) asResource(p Project) condition.Resource {
	if a == nil {
		return p.asResource()
	}
	return condition.Resource{
		Service: "iam.googleapis.com", Type: "iam.googleapis.com/ServiceAccount", Name: "projects/" + p.ID + "/serviceAccounts/" + a.Email,
	}
}

func (s *Service) policyKey() string { return fixtures.ServiceResource(s.Name) }

func (s *Service) asResource(p Project) condition.Resource {
	return condition.Resource{
		Service: "run.googleapis.com", Type: "run.googleapis.com/Service",
		Name: "projects/" + p.ID + "/locations/" + s.Region + "/services/" + s.Name,
	}
}

func (p Project) asResource() condition.Resource {
	return condition.Resource{
		Service: "cloudresourcemanager.googleapis.com", Type: "cloudresourcemanager.googleapis.com/Project", Name: "projects/" + p.ID,
	}
}

// policyKey returns the key of a resource's policy.
func policyKey(on Resource) string {
	if on == nil {
		return projectPolicy
	}
	return on.policyKey()
}

// Policy returns the policy of a resource, or nil if the resource has no policy.
func (w *World) Policy(on Resource) *iam.Policy { return w.policies[policyKey(on)] }

// WithPolicy returns a world in which a resource has another policy.
func (w *World) WithPolicy(on Resource, policy *iam.Policy) *World {
	edited := *w
	edited.policies = maps.Clone(w.policies)
	edited.policies[policyKey(on)] = policy
	return &edited
}

// ResourceName returns the name of a resource, or of the project if the resource is nil.
func (w *World) ResourceName(on Resource) string {
	if on == nil {
		return w.Project.asResource().Name
	}
	return on.asResource(w.Project).Name
}

// May reports whether a principal has a permission at a moment on a resource, by the resource's own
// policy or by the project's.
func (w *World) May(who iam.Principal, permission string, on Resource, at time.Time) bool {
	q := w.question(who, permission, on, at)
	return w.Policy(nil).Grants(q) || policyKey(on) != projectPolicy && w.Policy(on).Grants(q)
}

// Explain returns why May is true or false: the effect of each binding about the principal. The keys
// are the names of the resources whose policies have the bindings.
func (w *World) Explain(who iam.Principal, permission string, on Resource, at time.Time) map[string][]iam.Explanation {
	q := w.question(who, permission, on, at)
	explained := map[string][]iam.Explanation{w.ResourceName(nil): w.Policy(nil).Explain(q)}
	if policyKey(on) != projectPolicy {
		explained[w.ResourceName(on)] = w.Policy(on).Explain(q)
	}
	return explained
}

func (w *World) question(who iam.Principal, permission string, on Resource, at time.Time) iam.Question {
	q := iam.Question{Permission: permission, Identities: w.identities(who), Roles: w.roles}
	q.Request = func() condition.Request {
		if on == nil {
			return condition.Request{Time: at, Resource: w.Project.asResource()}
		}
		return condition.Request{Time: at, Resource: on.asResource(w.Project)}
	}
	return q
}
