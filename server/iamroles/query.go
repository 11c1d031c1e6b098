package iamroles

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// kind is a kind of resource that has a policy.
type kind struct {
	host        string
	collection  string // below the project; empty: the project itself
	permissions string // how the permissions begin that can be granted on such a resource
}

func kinds() []kind {
	return []kind{
		{host: "cloudresourcemanager.googleapis.com"},
		{host: "iam.googleapis.com", collection: "serviceAccounts/", permissions: "iam.serviceAccount"},
		{host: "run.googleapis.com", collection: "locations/", permissions: "run."},
	}
}

// kindOf returns the kind of the resource that a full resource name is for.
func kindOf(project world.Project, resource string) (kind, error) {
	for _, k := range kinds() {
		rest, ok := strings.CutPrefix(resource, "//"+k.host+"/projects/")
		name, below, _ := strings.Cut(rest, "/")
		isOfKind := below == "" && k.collection == "" || k.collection != "" && strings.HasPrefix(below, k.collection)
		if ok && project.Is(name) && isOfKind {
			return k, nil
		}
	}
	return kind{}, googleapi.InvalidArgument(fmt.Sprintf("The full resource name %q does not name a project, a service account or a service of project %q.", resource, project.ID))
}

// fits reports whether a permission can be granted on a resource of the kind.
func (k kind) fits(permission string) bool { return strings.HasPrefix(permission, k.permissions) }

// query is a question about a resource.
type query struct {
	kind kind
	page googleapi.Page
	view string
}

func (s *Server) readQuery(r *http.Request, sizes googleapi.PageSizes, fields ...string) (query, error) {
	if err := googleapi.CheckQuery(r); err != nil {
		return query{}, err
	}
	m, err := googleapi.ReadMessage(r, append(fields, "full_resource_name", "page_size", "page_token")...)
	if err != nil {
		return query{}, err
	}
	read := googleapi.Fields{Message: m}
	resource, size, token := read.Text("full_resource_name"), read.Int32("page_size"), read.Text("page_token")
	q := query{view: read.Text("view")}
	if read.Err != nil {
		return query{}, read.Err
	}
	if q.kind, err = kindOf(s.worlds.Load().State.Project, resource); err != nil {
		return query{}, err
	}
	q.page, err = sizes.Page(int(size), token)
	return q, err
}

// QueryGrantable handles roles.queryGrantableRoles: which roles can be granted on a resource. Like
// Google's server, it takes no permission.
func (s *Server) QueryGrantable(r *http.Request) (wire.Response, error) {
	if _, err := s.guard.Caller(r, guard.IAM(), "QueryGrantableRoles"); err != nil {
		return wire.Response{}, err
	}
	q, err := s.readQuery(r, googleapi.PageSizes{Default: 300, Largest: 2000}, "view")
	if err != nil {
		return wire.Response{}, err
	}
	show, err := view(q.view)
	if err != nil {
		return wire.Response{}, err
	}
	roles := slices.DeleteFunc(append(iam.Predefined(), s.worlds.Load().State.CustomRoles...), func(role *iam.Role) bool {
		return !role.DeleteTime.IsZero() || !slices.ContainsFunc(role.Permissions, q.kind.fits)
	})
	return googleapi.Reply(r, pageOf(q.page, roles, show)), nil
}

// permissionMessage is the Permission message. A missing customRolesSupportLevel is the first value
// of the enumeration, SUPPORTED.
type permissionMessage struct {
	Name  string `json:"name"`
	Stage string `json:"stage"`
}

// QueryTestable handles permissions.queryTestablePermissions: which permissions can be tested on a
// resource. Like Google's server, it takes no permission.
func (s *Server) QueryTestable(r *http.Request) (wire.Response, error) {
	if _, err := s.guard.Caller(r, guard.IAM(), "QueryTestablePermissions"); err != nil {
		return wire.Response{}, err
	}
	q, err := s.readQuery(r, googleapi.PageSizes{Default: 100, Largest: 1000})
	if err != nil {
		return wire.Response{}, err
	}
	fitting := slices.DeleteFunc(iam.Permissions(), func(permission string) bool { return !q.kind.fits(permission) })
	part, next := googleapi.Cut(q.page, fitting, func(permission string) string { return permission })
	answer := struct {
		Permissions   []permissionMessage `json:"permissions,omitempty"`
		NextPageToken string              `json:"nextPageToken,omitempty"`
	}{NextPageToken: next}
	for _, permission := range part {
		answer.Permissions = append(answer.Permissions, permissionMessage{permission, string(iam.GA)})
	}
	return googleapi.Reply(r, answer), nil
}
