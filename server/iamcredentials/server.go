// Package iamcredentials is the IAM Service Account Credentials API: short-lived
// credentials for service accounts, and signatures with their system-managed keys
// (https://cloud.google.com/iam/docs/reference/credentials/rest).
package iamcredentials

import (
	"net/http"
	"strings"
	"time"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/oauth2"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world"
)

// Server answers requests of the API. It is safe for concurrent use.
type Server struct {
	worlds *store.Store[*world.World]
	keys   *keys.Ring
	issuer *token.Issuer
	guard  *googleapi.Guard
	now    func() time.Time
}

// New is an IAM Credentials API.
func New(
	worlds *store.Store[*world.World], ring *keys.Ring, issuer *token.Issuer, guard *googleapi.Guard, now func() time.Time,
) *Server {
	return &Server{worlds: worlds, keys: ring, issuer: issuer, guard: guard, now: now}
}

func api() googleapi.API {
	return googleapi.API{
		Host:    "iamcredentials.googleapis.com",
		Service: "google.iam.credentials.v1.IAMCredentials",
		Scopes:  []string{oauth2.CloudPlatformScope, "https://www.googleapis.com/auth/iam"},
	}
}

const resourcePrefix = "projects/-/serviceAccounts/"

// authorised is what every method begins with: the caller's credential is looked at before
// the account, and the account before the body.
func (s *Server) authorised(r *http.Request, method string) (*world.ServiceAccount, error) {
	if _, err := s.guard.Caller(r, api(), method); err != nil {
		return nil, err
	}
	return s.account(r.PathValue("account"))
}

// account finds a service account by what stands in a resource name.
func (s *Server) account(id string) (*world.ServiceAccount, error) {
	isNumber := id != "" && strings.Trim(id, "0123456789") == ""
	if local, domain, _ := strings.Cut(id, "@"); !isNumber && (local == "" || domain == "") {
		return nil, googleapi.InvalidArgument(
			"Invalid form of account ID " + id + ". Should be [Gaia ID |Email |Unique ID |] of the account")
	}
	account, ok := s.worlds.Load().State.Account(id)
	switch {
	case ok && !account.Disabled:
		return account, nil
	case isNumber:
		return nil, googleapi.NotFound("Not found; Gaia id not found for unique ID " + id)
	default:
		return nil, googleapi.NotFound("Not found; Gaia id not found for email " + id)
	}
}

// checkDelegates looks at the chain of accounts through which a caller acts. Each must
// exist; some clients name them by their e-mail addresses alone.
func (s *Server) checkDelegates(message googleapi.Message) error {
	delegates, err := message.Texts("delegates")
	if err != nil {
		return err
	}
	for _, delegate := range delegates {
		if _, err := s.account(strings.TrimPrefix(delegate, resourcePrefix)); err != nil {
			return err
		}
	}
	return nil
}

// read reads the request message of a method, with the fields that all of them have.
func (s *Server) read(r *http.Request, fields ...string) (googleapi.Message, error) {
	message, err := googleapi.ReadMessage(r, append(fields, "name", "delegates")...)
	if err != nil {
		return googleapi.Message{}, err
	}
	return message, s.checkDelegates(message)
}

// invalidArgument is what Google's server says where it does not say what is wrong.
func invalidArgument() error {
	return googleapi.InvalidArgument("Request contains an invalid argument.")
}
