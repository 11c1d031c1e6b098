// Package iamadmin is the part of the Identity and Access Management API that manages
// service accounts, their keys and their policies
// (https://cloud.google.com/iam/docs/reference/rest/v1/projects.serviceAccounts).
//
// What a change means is for package world, which keys there are for packages keys and
// accountkeys, and the methods for policies are those of package iampolicy. Changes last
// until the world is replaced, and key files as long as the state directory.
package iamadmin

import (
	"net/http"
	"strings"
	"sync"
	"time"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/iampolicy"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// Server answers requests of the API. It is safe for concurrent use.
type Server struct {
	worlds   *store.Store[*world.World]
	keys     *keys.Ring
	guard    *guard.Guard
	policies *iampolicy.Policies
	now      func() time.Time

	adding sync.Mutex // held from when the keys of an account are counted until there is one more
}

// New is an IAM API.
func New(
	worlds *store.Store[*world.World], ring *keys.Ring, guard *guard.Guard, policies *iampolicy.Policies, now func() time.Time,
) *Server {
	return &Server{worlds: worlds, keys: ring, guard: guard, policies: policies, now: now}
}

func api() guard.API {
	return guard.API{
		Host:    "iam.googleapis.com",
		Service: "google.iam.admin.v1.IAM",
		Scopes:  []string{iam.CloudPlatform, "https://www.googleapis.com/auth/iam"},
	}
}

// empty is google.protobuf.Empty.
type empty struct{}

// project begins a method of a project, for which the caller needs a permission.
func (s *Server) project(r *http.Request, method, permission string) error {
	caller, err := s.guard.Caller(r, api(), method)
	if err != nil {
		return err
	}
	if !s.isOurs(r.PathValue("project")) {
		return googleapi.NotFound("Requested entity was not found.")
	}
	return caller.Need(permission, nil)
}

// isOurs tells whether a project is the world's, by its ID or its number.
func (s *Server) isOurs(project string) bool {
	return s.worlds.Load().State.Project.Is(project)
}

// target is a service account that a method is about, and who calls the method.
type target struct {
	caller  guard.Caller
	account *world.ServiceAccount
}

// account begins a method of a service account, for which the caller needs a permission on
// it. Whether there is an account is told to nobody who could not have it in any case.
func (s *Server) account(r *http.Request, method, permission, absent string) (target, error) {
	caller, err := s.guard.Caller(r, api(), method)
	if err != nil {
		return target{}, err
	}
	account, ok := s.find(r)
	if err := caller.Need(permission, account); err != nil {
		return target{}, err
	}
	if !ok {
		return target{}, googleapi.NotFound(absent)
	}
	return target{caller, account}, nil
}

// find finds the service account that a path names; in another project there is none.
func (s *Server) find(r *http.Request) (*world.ServiceAccount, bool) {
	if project := r.PathValue("project"); project != "-" && !s.isOurs(project) {
		return nil, false
	}
	return s.worlds.Load().State.Account(r.PathValue("account"))
}

// What the API says of a service account that does not exist: its own methods, and those
// which ask another server about it.
const unknownAccount = "Unknown service account"

func gaiaNotFound(r *http.Request) string {
	id, kind := r.PathValue("account"), "email"
	if !strings.Contains(id, "@") {
		kind = "unique ID"
	}
	return "Not found; Gaia id not found for " + kind + " " + id
}

// change puts another version of a service account into the world. The function is given a
// copy of the present one.
func (s *Server) change(account *world.ServiceAccount, change func(*world.ServiceAccount) error) (*world.ServiceAccount, error) {
	var changed world.ServiceAccount
	err := s.worlds.Update(func(w *world.World) (*world.World, error) {
		current, ok := w.Account(account.UniqueID)
		if !ok {
			return nil, googleapi.NotFound(unknownAccount)
		}
		changed = *current
		if err := change(&changed); err != nil {
			return nil, err
		}
		return w.WithAccount(&changed), nil
	})
	return &changed, err
}

// GetIAMPolicy answers with the policy of a service account.
func (s *Server) GetIAMPolicy(r *http.Request) (wire.Response, error) {
	t, err := s.account(r, "GetIamPolicy", "iam.serviceAccounts.getIamPolicy", gaiaNotFound(r))
	if err != nil {
		return wire.Response{}, err
	}
	return s.policies.Get(r, t.account)
}

// SetIAMPolicy replaces the policy of a service account.
func (s *Server) SetIAMPolicy(r *http.Request) (wire.Response, error) {
	t, err := s.account(r, "SetIamPolicy", "iam.serviceAccounts.setIamPolicy", gaiaNotFound(r))
	if err != nil {
		return wire.Response{}, err
	}
	return s.policies.Set(r, t.account)
}

// TestIAMPermissions tells which of some permissions the caller has on a service account.
func (s *Server) TestIAMPermissions(r *http.Request) (wire.Response, error) {
	caller, err := s.guard.Caller(r, api(), "TestIamPermissions")
	if err != nil {
		return wire.Response{}, err
	}
	account, ok := s.find(r)
	if !ok {
		return wire.Response{}, googleapi.NotFound(gaiaNotFound(r))
	}
	return s.policies.Test(r, caller, account)
}
