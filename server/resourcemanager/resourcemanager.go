// Package resourcemanager is the part of the Cloud Resource Manager API that clients of other
// APIs need: the project, in lists or alone, and its policy
// (https://cloud.google.com/resource-manager/reference/rest).
package resourcemanager

import (
	"fmt"
	"net/http"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/iampolicy"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// Server handles requests to the API. It is safe for concurrent use.
type Server struct {
	worlds   *store.Store[*world.World]
	guard    *guard.Guard
	policies *iampolicy.Policies
}

// New returns a Resource Manager API.
func New(worlds *store.Store[*world.World], guard *guard.Guard, policies *iampolicy.Policies) *Server {
	return &Server{worlds: worlds, guard: guard, policies: policies}
}

// API returns the names and scopes of the Resource Manager API.
func API() guard.API {
	return guard.API{
		Host:    "cloudresourcemanager.googleapis.com",
		Service: "google.cloud.resourcemanager.v3.Projects",
		Scopes:  []string{iam.CloudPlatform, iam.CloudPlatform + ".read-only"},
	}
}

// begin authorizes a caller for the project in the path. If the project does not exist, it denies
// permission.
func (s *Server) begin(r *http.Request, method, permission string) (guard.Caller, world.Project, error) {
	caller, err := s.guard.Caller(r, API(), method)
	if err != nil {
		return caller, world.Project{}, err
	}
	project := s.worlds.Load().State.Project
	if !project.Is(r.PathValue("project")) {
		return caller, world.Project{}, googleapi.PermissionDenied("The caller does not have permission").Because(journal.Refusal{
			Code: reason.PermissionDenied, Reason: fmt.Sprintf("%q is not the project of the fixture, which is %q", r.PathValue("project"), project.ID),
		})
	}
	if permission == "" {
		return caller, project, nil
	}
	return caller, project, caller.Need(permission, nil)
}

// GetIAMPolicy returns the project's policy.
func (s *Server) GetIAMPolicy(r *http.Request) (wire.Response, error) {
	if _, _, err := s.begin(r, "GetIamPolicy", "resourcemanager.projects.getIamPolicy"); err != nil {
		return wire.Response{}, err
	}
	return s.policies.Get(r, nil)
}

// SetIAMPolicy replaces the project's policy.
func (s *Server) SetIAMPolicy(r *http.Request) (wire.Response, error) {
	if _, _, err := s.begin(r, "SetIamPolicy", "resourcemanager.projects.setIamPolicy"); err != nil {
		return wire.Response{}, err
	}
	return s.policies.Set(r, nil)
}

// TestIAMPermissions returns which of the given permissions the caller has on the project.
func (s *Server) TestIAMPermissions(r *http.Request) (wire.Response, error) {
	caller, _, err := s.begin(r, "TestIamPermissions", "")
	if err != nil {
		return wire.Response{}, err
	}
	return s.policies.Test(r, caller, nil)
}
