// Package iamcredentials is the IAM Service Account Credentials API: short-lived credentials for
// service accounts, and signatures with their system-managed keys
// (https://cloud.google.com/iam/docs/reference/credentials/rest).
//
// Each method is one function of the values in a request. JSON (rest.go) and gRPC (grpc.go) share
// it. The IAM API still has two deprecated methods that sign (deprecated.go). Package guard
// authorizes the callers.
package iamcredentials

import (
	"context"
	"strings"
	"time"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world"
)

// Server handles requests to the API. It is safe for concurrent use.
type Server struct {
	worlds *store.Store[*world.World]
	keys   *keys.Ring
	issuer *token.Issuer
	guard  *guard.Guard
	now    func() time.Time
	api    guard.API
}

// New returns an IAM Credentials API.
func New(
	worlds *store.Store[*world.World], ring *keys.Ring, issuer *token.Issuer, guard *guard.Guard, now func() time.Time,
) *Server {
	return &Server{worlds: worlds, keys: ring, issuer: issuer, guard: guard, now: now, api: API()}
}

// API returns the names and scopes of the IAM Credentials API.
func API() guard.API {
	return guard.API{
		Host:    "iamcredentials.googleapis.com",
		Service: "google.iam.credentials.v1.IAMCredentials",
		Scopes:  []string{iam.CloudPlatform, "https://www.googleapis.com/auth/iam"},
	}
}

// call holds the caller of a method and the service account that the method applies to.
type call struct {
	caller  guard.Caller
	account *world.ServiceAccount
}

// begin starts every method. It checks the caller's credential first and finds the account
// afterwards. The rest of the message comes later.
func (s *Server) begin(ctx context.Context, credential string, api guard.API, method, account string) (call, error) {
	caller, err := s.guard.Authenticate(ctx, credential, api, method)
	if err != nil {
		return call{}, err
	}
	found, err := s.account(account)
	return call{caller, found}, err
}

// accountID returns the account's ID from a resource name, projects/ANY/serviceAccounts/ID.
// Some clients send only the ID.
func accountID(name string) string {
	below, isPath := strings.CutPrefix(name, "projects/")
	project, rest, _ := strings.Cut(below, "/")
	id, isAccount := strings.CutPrefix(rest, "serviceAccounts/")
	if isPath && project != "" && isAccount && !strings.Contains(id, "/") {
		return id
	}
	return name
}

// account finds a service account by its resource name, e-mail address or unique ID.
func (s *Server) account(name string) (*world.ServiceAccount, error) {
	id := accountID(name)
	isUniqueID := world.IsUniqueID(id)
	if local, domain, _ := strings.Cut(id, "@"); !isUniqueID && (local == "" || domain == "" || strings.Contains(id, "/")) {
		return nil, googleapi.InvalidArgument(
			"Invalid form of account ID " + id + ". Should be [Gaia ID |Email |Unique ID |] of the account")
	}
	account, ok := s.worlds.Load().State.Account(id)
	switch {
	case ok && !account.Disabled:
		return account, nil
	case isUniqueID:
		return nil, googleapi.NotFound("Not found; Gaia id not found for unique ID " + id)
	default:
		return nil, googleapi.NotFound("Not found; Gaia id not found for email " + id)
	}
}

// permit refuses a call that the policies do not allow. If the caller uses a chain of
// delegates, each must be allowed to act as the next, and the last must have the permission
// (https://cloud.google.com/iam/docs/create-short-lived-credentials-delegated).
func (s *Server) permit(c call, delegates []string, permission string) error {
	chain := make([]*world.ServiceAccount, len(delegates))
	for i, delegate := range delegates {
		account, err := s.account(delegate)
		if err != nil {
			return err
		}
		chain[i] = account
	}
	need := c.caller.Need
	for _, delegate := range chain {
		if err := need(iam.ImplicitDelegation, delegate); err != nil {
			return err
		}
		need = func(permission string, on world.Resource) error {
			return c.caller.NeedAs(delegate, permission, on)
		}
	}
	return need(permission, c.account)
}

// invalidArgument returns the error of Google's server that names no reason.
func invalidArgument() error {
	return googleapi.InvalidArgument("Request contains an invalid argument.")
}
