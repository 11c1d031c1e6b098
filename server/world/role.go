package world

import (
	"cmp"
	"maps"
	"slices"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/iam"
)

// addRoles makes the roles that a fixture describes.
func (w *World) addRoles(f *fixtures.Fixture) {
	for _, described := range f.Roles {
		role := &iam.Role{
			Name: f.Project.RoleName(described.ID), Title: described.Title, Description: described.Description,
			Stage: iam.Stage(cmp.Or(described.Stage, string(iam.GA))), DeleteTime: described.DeleteTime,
			Permissions: slices.Clone(described.IncludedPermissions),
		}
		slices.Sort(role.Permissions)
		role.Permissions = slices.Compact(role.Permissions)
		w.CustomRoles = append(w.CustomRoles, role)
	}
	w.roles = iam.NewRoles(w.CustomRoles...)
}

// Role finds a predefined or custom role by its name, a deleted one too.
func (w *World) Role(name string) (*iam.Role, bool) {
	role, ok := w.roles[name]
	return role, ok
}

// RolesGranting returns the names of the roles with a permission. Roles with few permissions come
// first.
func (w *World) RolesGranting(permission string) []string { return w.roles.Granting(permission) }

// WithRole returns a world with this custom role. If there is a role with the same name, the new role
// replaces it.
func (w *World) WithRole(role *iam.Role) *World {
	edited := *w
	edited.CustomRoles = slices.Clone(w.CustomRoles)
	if i := slices.IndexFunc(w.CustomRoles, func(r *iam.Role) bool { return r.Name == role.Name }); i >= 0 {
		edited.CustomRoles[i] = role
	} else {
		edited.CustomRoles = append(edited.CustomRoles, role)
	}
	edited.roles = maps.Clone(w.roles)
	edited.roles[role.Name] = role
	return &edited
}

// WithoutRole returns a world without a custom role and the bindings that give it.
func (w *World) WithoutRole(name string) *World {
	edited := *w
	edited.CustomRoles = slices.DeleteFunc(slices.Clone(w.CustomRoles), func(r *iam.Role) bool { return r.Name == name })
	edited.roles = maps.Clone(w.roles)
	delete(edited.roles, name)
	edited.policies = maps.Clone(w.policies)
	for key, policy := range edited.policies {
		if policy.Names(name) {
			edited.policies[key] = policy.Without(name)
		}
	}
	return &edited
}

// RoleName returns the full name of a custom role of the project.
func (p Project) RoleName(id string) string { return fixtures.Project{ID: p.ID}.RoleName(id) }

func (w *World) describedRoles() []fixtures.Role {
	var list []fixtures.Role
	for _, role := range w.CustomRoles {
		described := fixtures.Role{
			ID: role.Name[len(w.Project.RoleName("")):], Title: role.Title, Description: role.Description,
			Stage: string(role.Stage), IncludedPermissions: role.Permissions,
		}
		if !role.DeleteTime.IsZero() {
			described.DeleteTime = role.DeleteTime.UTC()
		}
		if role.Stage == iam.GA {
			described.Stage = ""
		}
		list = append(list, described)
	}
	return list
}
