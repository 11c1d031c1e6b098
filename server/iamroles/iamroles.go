// Package iamroles is the part of the Identity and Access Management API about roles: predefined
// roles, the custom roles of the project, and the roles and permissions that fit a resource
// (https://cloud.google.com/iam/docs/reference/rest/v1/projects.roles).
//
// Package iam knows the predefined roles and the permissions of a role, and package world keeps the
// custom roles. Changes last until the world is replaced.
package iamroles

import (
	"fmt"
	"net/http"
	"time"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// Server handles requests to the API. It is safe for concurrent use.
type Server struct {
	worlds *store.Store[*world.World]
	guard  *guard.Guard
	now    func() time.Time
}

// New returns an API of roles.
func New(worlds *store.Store[*world.World], guard *guard.Guard, now func() time.Time) *Server {
	return &Server{worlds: worlds, guard: guard, now: now}
}

// roleMessage is the Role message.
type roleMessage struct {
	Name                string   `json:"name"`
	Title               string   `json:"title,omitempty"`
	Description         string   `json:"description,omitempty"`
	IncludedPermissions []string `json:"includedPermissions,omitempty"`
	Stage               string   `json:"stage,omitempty"` // missing: ALPHA, the first value of the enumeration
	Etag                []byte   `json:"etag"`
	Deleted             bool     `json:"deleted,omitempty"`
}

// full describes a role with its permissions.
func full(role *iam.Role) roleMessage {
	m := basic(role)
	m.IncludedPermissions = role.Permissions
	return m
}

// basic describes a role without its permissions.
func basic(role *iam.Role) roleMessage {
	m := roleMessage{
		Name: role.Name, Title: role.Title, Description: role.Description, Etag: role.Etag(), Deleted: !role.DeleteTime.IsZero(),
	}
	if role.Stage != iam.Alpha {
		m.Stage = string(role.Stage)
	}
	return m
}

// view returns the form in which a client wants to see roles.
func view(name string) (func(*iam.Role) roleMessage, error) {
	switch name {
	case "", "BASIC":
		return basic, nil
	case "FULL":
		return full, nil
	default:
		return nil, googleapi.InvalidArgument(fmt.Sprintf("Invalid value at 'view' (type.googleapis.com/google.iam.admin.v1.RoleView), %q", name))
	}
}

// sizes are the sizes of pages of roles.
func sizes() googleapi.PageSizes { return googleapi.PageSizes{Default: 300, Largest: 1000} }

// rolePage is an answer that lists roles.
type rolePage struct {
	Roles         []roleMessage `json:"roles,omitempty"`
	NextPageToken string        `json:"nextPageToken,omitempty"`
}

func pageOf(page googleapi.Page, roles []*iam.Role, show func(*iam.Role) roleMessage) rolePage {
	part, next := googleapi.Cut(page, roles, func(role *iam.Role) string { return role.Name })
	answer := rolePage{NextPageToken: next}
	for _, role := range part {
		answer.Roles = append(answer.Roles, show(role))
	}
	return answer
}

// ListPredefined handles roles.list. Everybody with a credential may see Google's roles.
func (s *Server) ListPredefined(r *http.Request) (wire.Response, error) {
	if _, err := s.guard.Caller(r, guard.IAM(), "ListRoles"); err != nil {
		return wire.Response{}, err
	}
	return s.list(r, iam.Predefined())
}

// List handles projects.roles.list. Deleted roles are listed on demand, as long as they can be
// undeleted.
func (s *Server) List(r *http.Request) (wire.Response, error) {
	if err := s.guard.Project(r, guard.IAM(), "ListRoles", "iam.roles.list"); err != nil {
		return wire.Response{}, err
	}
	withDeleted, err := googleapi.QueryBool(r, "showDeleted")
	if err != nil {
		return wire.Response{}, err
	}
	var roles []*iam.Role
	for _, role := range s.worlds.Load().State.CustomRoles {
		if role.DeleteTime.IsZero() || withDeleted && !role.IsPurged(s.now()) {
			roles = append(roles, role)
		}
	}
	return s.list(r, roles)
}

func (s *Server) list(r *http.Request, roles []*iam.Role) (wire.Response, error) {
	if err := googleapi.CheckQuery(r, "pageSize", "pageToken", "view", "showDeleted", "parent"); err != nil {
		return wire.Response{}, err
	}
	show, err := view(r.URL.Query().Get("view"))
	if err != nil {
		return wire.Response{}, err
	}
	page, err := googleapi.ReadPage(r, sizes())
	if err != nil {
		return wire.Response{}, err
	}
	return googleapi.Reply(r, pageOf(page, roles, show)), nil
}

// GetPredefined handles roles.get.
func (s *Server) GetPredefined(r *http.Request) (wire.Response, error) {
	if _, err := s.guard.Caller(r, guard.IAM(), "GetRole"); err != nil {
		return wire.Response{}, err
	}
	return s.get(r, "roles/"+r.PathValue("role"))
}

// Get handles projects.roles.get.
func (s *Server) Get(r *http.Request) (wire.Response, error) {
	if err := s.guard.Project(r, guard.IAM(), "GetRole", "iam.roles.get"); err != nil {
		return wire.Response{}, err
	}
	return s.get(r, s.nameIn(r))
}

func (s *Server) get(r *http.Request, name string) (wire.Response, error) {
	if err := googleapi.CheckQuery(r); err != nil {
		return wire.Response{}, err
	}
	role, err := s.find(s.worlds.Load().State, name)
	if err != nil {
		return wire.Response{}, err
	}
	return googleapi.Reply(r, full(role)), nil
}

// nameIn returns the name of the custom role in the path, which may have the project's number.
func (s *Server) nameIn(r *http.Request) string {
	return s.worlds.Load().State.Project.RoleName(r.PathValue("role"))
}

func (s *Server) find(w *world.World, name string) (*iam.Role, error) {
	if role, ok := w.Role(name); ok && !role.IsPurged(s.now()) {
		return role, nil
	}
	return nil, googleapi.NotFound(fmt.Sprintf("The role named %s was not found.", name))
}
