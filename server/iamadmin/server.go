// Package iamadmin is the part of the Identity and Access Management API that manages service
// accounts, their keys and their policies
// (https://cloud.google.com/iam/docs/reference/rest/v1/projects.serviceAccounts).
//
// Package world makes the changes, packages keys and accountkeys keep the keys, and package
// iampolicy has the methods for policies. Changes last until the world is replaced; key files
// last as long as the state directory.
package iamadmin

import (
	"net/http"
	"strings"
	"sync"
	"time"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/iampolicy"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// Server handles requests to the API. It is safe for concurrent use.
type Server struct {
	worlds   *store.Store[*world.World]
	keys     *keys.Ring
	guard    *guard.Guard
	policies *iampolicy.Policies
	now      func() time.Time

	adding sync.Mutex // held from counting an account's keys until the new key exists
}

// New returns an IAM API.
func New(
	worlds *store.Store[*world.World], ring *keys.Ring, guard *guard.Guard, policies *iampolicy.Policies, now func() time.Time,
) *Server {
	return &Server{worlds: worlds, keys: ring, guard: guard, policies: policies, now: now}
}

// empty is google.protobuf.Empty.
type empty struct{}

// isOurs reports whether project is the ID or the number of the world's project.
func (s *Server) isOurs(project string) bool {
	return s.worlds.Load().State.Project.Is(project)
}

// target is the caller of a method, and the method's service account.
type target struct {
	caller  guard.Caller
	account *world.ServiceAccount
}

// account authorizes a method of a service account and finds the account. The caller needs the
// given permission on it. A caller without the permission does not learn whether the account
// exists.
func (s *Server) account(r *http.Request, method, permission, absent string) (target, error) {
	caller, err := s.guard.Caller(r, guard.IAM(), method)
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

// find returns the service account in the path. ok is false if the account belongs to another
// project.
func (s *Server) find(r *http.Request) (account *world.ServiceAccount, ok bool) {
	if project := r.PathValue("project"); project != "-" && !s.isOurs(project) {
		return nil, false
	}
	return s.worlds.Load().State.Account(r.PathValue("account"))
}

// The API's messages for an unknown service account: of its own methods, and of methods that
// ask another server of Google.
const unknownAccount = "Unknown service account"

func gaiaNotFound(r *http.Request) string {
	id, kind := r.PathValue("account"), "email"
	if !strings.Contains(id, "@") {
		kind = "unique ID"
	}
	return "Not found; Gaia id not found for " + kind + " " + id
}

// change replaces a service account in the world. The function edits a copy of the present
// account.
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

// GetIAMPolicy returns a service account's policy.
func (s *Server) GetIAMPolicy(r *http.Request) (wire.Response, error) {
	t, err := s.account(r, "GetIamPolicy", "iam.serviceAccounts.getIamPolicy", gaiaNotFound(r))
	if err != nil {
		return wire.Response{}, err
	}
	return s.policies.Get(r, t.account)
}

// SetIAMPolicy replaces a service account's policy.
func (s *Server) SetIAMPolicy(r *http.Request) (wire.Response, error) {
	t, err := s.account(r, "SetIamPolicy", "iam.serviceAccounts.setIamPolicy", gaiaNotFound(r))
	if err != nil {
		return wire.Response{}, err
	}
	return s.policies.Set(r, t.account)
}

// TestIAMPermissions returns which of the given permissions the caller has on a service
// account.
func (s *Server) TestIAMPermissions(r *http.Request) (wire.Response, error) {
	caller, err := s.guard.Caller(r, guard.IAM(), "TestIamPermissions")
	if err != nil {
		return wire.Response{}, err
	}
	account, ok := s.find(r)
	if !ok {
		return wire.Response{}, googleapi.NotFound(gaiaNotFound(r))
	}
	return s.policies.Test(r, caller, account)
}
