package iamroles

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// Fields of the Role message. Requests can write the fields of changeable.
func roleFields() []string {
	return append(changeable(), "name", "etag", "deleted")
}

func changeable() []string { return []string{"title", "description", "included_permissions", "stage"} }

// Create handles projects.roles.create.
func (s *Server) Create(r *http.Request) (wire.Response, error) {
	if err := s.guard.Project(r, guard.IAM(), "CreateRole", "iam.roles.create"); err != nil {
		return wire.Response{}, err
	}
	role, err := s.readCreate(r)
	if err != nil {
		return wire.Response{}, err
	}
	err = s.worlds.Update(func(w *world.World) (*world.World, error) {
		id := role.Name[len(w.Project.RoleName("")):]
		switch existing, ok := w.Role(role.Name); {
		case ok && existing.DeleteTime.IsZero():
			return nil, googleapi.AlreadyExists(fmt.Sprintf("A role named %s in projects/%s already exists.", id, w.Project.ID))
		case ok && !existing.IsNameFree(s.now()):
			return nil, googleapi.FailedPrecondition(fmt.Sprintf("You can't create a role_id (%s) which has been marked for deletion.", id))
		}
		return w.WithoutRole(role.Name).WithRole(role), nil // bindings of an earlier role do not give this one
	})
	if err != nil {
		return wire.Response{}, err
	}
	return googleapi.Reply(r, full(role)), nil
}

func (s *Server) readCreate(r *http.Request) (*iam.Role, error) {
	if err := googleapi.CheckQuery(r); err != nil {
		return nil, err
	}
	m, err := googleapi.ReadMessage(r, "parent", "role_id", "role")
	if err != nil {
		return nil, err
	}
	id, err := m.Text("role_id")
	if err != nil {
		return nil, err
	}
	if !fixtures.IsRoleID(id) {
		return nil, googleapi.InvalidArgument(fmt.Sprintf("The role_id %q is not 3 to 64 letters, digits, underscores and periods.", id))
	}
	described, err := m.Message("role", roleFields()...)
	if err != nil {
		return nil, err
	}
	role := &iam.Role{Name: s.worlds.Load().State.Project.RoleName(id)}
	return role, change(role, described, changeable())
}

// change sets the fields of a role that a mask names.
func change(role *iam.Role, m googleapi.Message, mask []string) error {
	fields := googleapi.Fields{Message: m}
	for _, path := range mask {
		switch path {
		case "title":
			role.Title = fields.Text(path)
		case "description":
			role.Description = fields.Text(path)
		case "included_permissions":
			role.Permissions = slices.Compact(slices.Sorted(slices.Values(fields.Texts(path))))
		case "stage":
			role.Stage = iam.Stage(fields.Text(path))
		case "etag", "name", "deleted": // a client that reads a role and writes it back names all fields
		default:
			return googleapi.InvalidArgument(fmt.Sprintf("Invalid field path in update_mask: %q.", path))
		}
	}
	if fields.Err != nil {
		return fields.Err
	}
	return check(role)
}

// check refuses a role that Google does not keep. A role without a stage gets the first stage
// (https://cloud.google.com/iam/docs/creating-custom-roles).
func check(role *iam.Role) error {
	const maxTitle, maxDescription, maxSize = 100, 300, 64 << 10 // bytes
	if role.Stage == "" {
		role.Stage = iam.Alpha
	}
	size := len(role.Title) + len(role.Description)
	for _, permission := range role.Permissions {
		size += len(permission)
		if !fixtures.IsPermission(permission) {
			return googleapi.InvalidArgument(fmt.Sprintf("Permission %s is not valid.", permission))
		}
	}
	switch {
	case !slices.Contains(fixtures.RoleStages(), string(role.Stage)):
		return googleapi.InvalidArgument(fmt.Sprintf(
			"Invalid value at 'role.stage' (type.googleapis.com/google.iam.admin.v1.Role.RoleLaunchStage), %q", role.Stage))
	case len(role.Title) > maxTitle:
		return googleapi.InvalidArgument(fmt.Sprintf("The title of the role is longer than %d bytes.", maxTitle))
	case len(role.Description) > maxDescription:
		return googleapi.InvalidArgument(fmt.Sprintf("The description of the role is longer than %d bytes.", maxDescription))
	case size > maxSize:
		return googleapi.InvalidArgument(fmt.Sprintf("The role is larger than %d bytes.", maxSize))
	}
	return nil
}

// Patch handles projects.roles.patch. Without an update mask, it replaces every field that can be
// changed.
func (s *Server) Patch(r *http.Request) (wire.Response, error) {
	if err := s.guard.Project(r, guard.IAM(), "UpdateRole", "iam.roles.update"); err != nil {
		return wire.Response{}, err
	}
	if err := googleapi.CheckQuery(r, "updateMask", "update_mask"); err != nil {
		return wire.Response{}, err
	}
	m, err := googleapi.ReadMessage(r, roleFields()...)
	if err != nil {
		return wire.Response{}, err
	}
	mask := googleapi.MaskPaths(r.URL.Query().Get("updateMask") + r.URL.Query().Get("update_mask"))
	if len(mask) == 0 {
		mask = changeable()
	}
	etag, err := m.Bytes("etag")
	if err != nil {
		return wire.Response{}, err
	}
	return s.update(r, etag, func(role *iam.Role) error {
		if !role.DeleteTime.IsZero() {
			return googleapi.FailedPrecondition(fmt.Sprintf("You can't update a role (%s) which has been marked for deletion.", role.Name))
		}
		return change(role, m, mask)
	})
}

// update replaces the role in the path by an edited copy, unless the role has changed since the
// client read it.
func (s *Server) update(r *http.Request, etag []byte, edit func(*iam.Role) error) (wire.Response, error) {
	var edited iam.Role
	err := s.worlds.Update(func(w *world.World) (*world.World, error) {
		role, err := s.find(w, s.nameIn(r))
		if err != nil {
			return nil, err
		}
		if len(etag) > 0 && !bytes.Equal(etag, role.Etag()) {
			return nil, googleapi.Aborted("There were concurrent changes of the role. Please retry the whole read-modify-write with exponential backoff.")
		}
		edited = *role
		if err := edit(&edited); err != nil {
			return nil, err
		}
		return w.WithRole(&edited), nil
	})
	if err != nil {
		return wire.Response{}, err
	}
	return googleapi.Reply(r, full(&edited)), nil
}

// Delete handles projects.roles.delete. The role grants nothing from now on, and its name stays
// taken.
func (s *Server) Delete(r *http.Request) (wire.Response, error) {
	if err := s.guard.Project(r, guard.IAM(), "DeleteRole", "iam.roles.delete"); err != nil {
		return wire.Response{}, err
	}
	if err := googleapi.CheckQuery(r, "etag"); err != nil {
		return wire.Response{}, err
	}
	etag, err := googleapi.DecodeBytes("etag", strings.ReplaceAll(r.URL.Query().Get("etag"), " ", "+"))
	if err != nil {
		return wire.Response{}, err
	}
	return s.update(r, etag, func(role *iam.Role) error {
		if !role.DeleteTime.IsZero() {
			return googleapi.FailedPrecondition(fmt.Sprintf("You can't delete a role (%s) which has been marked for deletion.", role.Name))
		}
		role.DeleteTime = s.now()
		return nil
	})
}

// Undelete handles projects.roles.undelete.
func (s *Server) Undelete(r *http.Request) (wire.Response, error) {
	if err := s.guard.Project(r, guard.IAM(), "UndeleteRole", "iam.roles.undelete"); err != nil {
		return wire.Response{}, err
	}
	if err := googleapi.CheckQuery(r); err != nil {
		return wire.Response{}, err
	}
	m, err := googleapi.ReadMessage(r, "name", "etag")
	if err != nil {
		return wire.Response{}, err
	}
	etag, err := m.Bytes("etag")
	if err != nil {
		return wire.Response{}, err
	}
	return s.update(r, etag, func(role *iam.Role) error {
		if role.DeleteTime.IsZero() {
			return googleapi.FailedPrecondition(fmt.Sprintf("You can't undelete a role (%s) which has not been marked for deletion.", role.Name))
		}
		role.DeleteTime = time.Time{}
		return nil
	})
}
