package iam

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The permissions that minting credentials for a service account takes
// (https://cloud.google.com/iam/docs/service-account-permissions).
const (
	GetAccessToken     = "iam.serviceAccounts.getAccessToken"
	GetOpenIDToken     = "iam.serviceAccounts.getOpenIdToken"
	SignBlob           = "iam.serviceAccounts.signBlob"
	SignJWT            = "iam.serviceAccounts.signJwt"
	ImplicitDelegation = "iam.serviceAccounts.implicitDelegation"
)

// Role is a set of permissions under one name. A binding gives it to members. A role does not
// change after it is made.
type Role struct {
	Name        string // roles/viewer, or projects/PROJECT/roles/ID
	Title       string
	Description string
	Stage       Stage
	Permissions []string  // sorted, and no two are the same
	DeleteTime  time.Time // when the role was deleted; zero: it was not
}

// Stage is how far the development of a role has come.
type Stage string

// The stages (https://cloud.google.com/iam/docs/reference/rest/v1/RoleLaunchStage). A role of stage
// Disabled grants nothing.
const (
	Alpha      Stage = "ALPHA"
	Beta       Stage = "BETA"
	GA         Stage = "GA"
	Deprecated Stage = "DEPRECATED"
	Disabled   Stage = "DISABLED"
	EAP        Stage = "EAP"
)

// Grants reports whether the role gives a permission to its members.
func (r *Role) Grants(permission string) bool {
	if !r.DeleteTime.IsZero() || r.Stage == Disabled {
		return false
	}
	_, found := slices.BinarySearch(r.Permissions, permission)
	return found
}

// Etag returns different bytes for different roles. The etag of a predefined role is one zero byte,
// as Google's is.
func (r *Role) Etag() []byte {
	if !strings.HasPrefix(r.Name, "projects/") {
		return []byte{0}
	}
	return digest(fmt.Appendf(nil, "%q", []any{r.Title, r.Description, r.Stage, r.Permissions, r.DeleteTime.IsZero()}))
}

// roleKept is the time within which a deleted role can be undeleted
// (https://cloud.google.com/iam/docs/reference/rest/v1/projects.roles/delete).
const roleKept = 7 * 24 * time.Hour

// IsPurged reports whether the role was deleted so long ago that it cannot be undeleted.
func (r *Role) IsPurged(now time.Time) bool {
	return !r.DeleteTime.IsZero() && now.Sub(r.DeleteTime) > roleKept
}

// nameKept is the time within which no other role can have the name of a deleted role: the role is
// purged within the thirty days after roleKept.
const nameKept = roleKept + 30*24*time.Hour

// IsNameFree reports whether another role can have the name of the role, which was deleted.
func (r *Role) IsNameFree(now time.Time) bool {
	return !r.DeleteTime.IsZero() && now.Sub(r.DeleteTime) > nameKept
}

// Roles holds the roles with known permissions that a binding can name, by name.
type Roles map[string]*Role

// NewRoles returns the predefined roles that the emulator knows, and custom roles.
func NewRoles(custom ...*Role) Roles {
	roles := Roles{}
	for _, role := range append(predefined(), custom...) {
		roles[role.Name] = role
	}
	return roles
}

// Include reports whether a role gives a permission. A role that is not known gives none.
func (r Roles) Include(role, permission string) bool {
	known := r[role]
	return known != nil && known.Grants(permission)
}

// Granting returns the names of the roles that give a permission. The roles with the fewest
// permissions come first.
func (r Roles) Granting(permission string) []string {
	var granting []*Role
	for _, role := range r {
		if role.Grants(permission) {
			granting = append(granting, role)
		}
	}
	slices.SortFunc(granting, func(a, b *Role) int {
		return cmp.Or(cmp.Compare(len(a.Permissions), len(b.Permissions)), cmp.Compare(a.Name, b.Name))
	})
	names := make([]string, len(granting))
	for i, role := range granting {
		names[i] = role.Name
	}
	return names
}

// Predefined returns the predefined roles, sorted by name.
func Predefined() []*Role { return predefined() }

// Permissions returns the permissions of all predefined roles, sorted.
func Permissions() []string {
	var all []string
	for _, role := range predefined() {
		all = append(all, role.Permissions...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Includes reports whether a predefined role gives a permission.
func Includes(role, permission string) bool { return NewRoles().Include(role, permission) }
