package world

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gcp-metadata-emulator/fixtures/spelling"
	"gcp-metadata-emulator/server/iam"
)

// UnknownRole is a role of a policy with permissions unknown to the emulator. Nobody gets a permission by
// it.
type UnknownRole struct {
	Role     string
	Resource string // whose policy gives the role
	Nearest  string // a known role with nearly the same name, or ""
}

// String returns a sentence about the role.
func (r UnknownRole) String() string {
	return fmt.Sprintf("the emulator does not know the role %q in the policy of %q, so that it gives no permission", r.Role, r.Resource)
}

// Hint advises the user.
func (r UnknownRole) Hint() string {
	if r.Nearest != "" {
		return fmt.Sprintf("did you mean %q?", r.Nearest)
	}
	return "give a known role too (gcloud iam roles list), or define a custom role with the permissions that you need in the fixture's roles"
}

// UnknownRoles returns the unknown roles of all policies.
func (w *World) UnknownRoles() []UnknownRole {
	var list []UnknownRole
	for _, key := range slices.Sorted(maps.Keys(w.policies)) {
		for _, binding := range w.policies[key].Bindings {
			list = w.addUnknown(list, binding.Role, w.nameOfPolicy(key))
		}
	}
	return list
}

// UnknownRolesOf returns the unknown roles that a principal has on a resource at a moment.
func (w *World) UnknownRolesOf(who iam.Principal, on Resource, at time.Time) []UnknownRole {
	var list []UnknownRole
	explained := w.Explain(who, "", on, at)
	for _, resource := range slices.Sorted(maps.Keys(explained)) {
		for _, binding := range explained[resource] {
			if binding.Holds {
				list = w.addUnknown(list, binding.Binding.Role, resource)
			}
		}
	}
	return list
}

func (w *World) addUnknown(list []UnknownRole, role, resource string) []UnknownRole {
	if w.roles[role] != nil || slices.ContainsFunc(list, func(r UnknownRole) bool { return r.Role == role && r.Resource == resource }) {
		return list
	}
	nearest, _ := spelling.Nearest(role, slices.Sorted(maps.Keys(w.roles)))
	return append(list, UnknownRole{role, resource, nearest})
}

// nameOfPolicy returns the name of the resource for the key of its policy.
func (w *World) nameOfPolicy(key string) string {
	if name, isService := strings.CutPrefix(key, "services/"); isService {
		if service, ok := w.Service(name); ok {
			return w.ResourceName(service)
		}
	}
	if account, ok := w.Account(key); ok {
		return w.ResourceName(account)
	}
	if key == projectPolicy {
		return w.ResourceName(nil)
	}
	return key
}
