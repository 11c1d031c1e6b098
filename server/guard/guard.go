// Package guard decides who may call a method of a Google API: it reads the bearer token of a
// request, checks the token and its scopes, and asks the world's policies for permissions. It owns
// the difference between a strict emulator and any other.
//
// Package googleapi has the words of its errors. Package token verifies tokens, and packages world and
// iam evaluate policies.
package guard

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world"
)

// API is one of Google's APIs, by the names that callers and errors use.
type API struct {
	Host    string   // iamcredentials.googleapis.com
	Service string   // google.iam.credentials.v1.IAMCredentials
	Scopes  []string // a caller's token needs at least one of these
}

// IAM returns the names and scopes of the IAM API, whose methods several packages play.
func IAM() API {
	return API{
		Host:    "iam.googleapis.com",
		Service: "google.iam.admin.v1.IAM",
		Scopes:  []string{iam.CloudPlatform, "https://www.googleapis.com/auth/iam"},
	}
}

// Guard decides who may call a method of an API. A strict guard demands a valid credential that this
// emulator has issued, with a sufficient scope, and asks the world's policies. Any other guard refuses
// access tokens that this emulator has issued and that have expired or were revoked, and accepts
// every other bearer token.
type Guard struct {
	worlds *store.Store[*world.World]
	issuer *token.Issuer

	checked bool // the guard demands a valid credential with a sufficient scope
	strict  bool // and asks the policies
}

// New returns a guard that is not strict.
func New(worlds *store.Store[*world.World], issuer *token.Issuer) *Guard {
	return &Guard{worlds: worlds, issuer: issuer}
}

// NewStrict returns a strict guard.
func NewStrict(worlds *store.Store[*world.World], issuer *token.Issuer) *Guard {
	return &Guard{worlds: worlds, issuer: issuer, checked: true, strict: true}
}

// Checking returns a guard that demands a valid credential with a sufficient scope, whether or not g
// does, and that asks the policies if g does.
func (g *Guard) Checking() *Guard {
	checking := *g
	checking.checked = true
	return &checking
}

// Caller is the principal that calls a method.
type Caller struct {
	Principal iam.Principal // of kind iam.KindUnknown if the token is not this emulator's
	Scopes    []string      // of the credential, if this emulator has issued it

	guard   *Guard
	bounded bool // the credential has an access boundary
}

// Caller authenticates the caller of a method of an API by the bearer token of the request. The error
// is either one that clients may read, or says why the keys cannot be read.
func (g *Guard) Caller(r *http.Request, api API, method string) (Caller, error) {
	credential, err := Bearer(r, api, method)
	if err != nil {
		return Caller{}, err
	}
	return g.Authenticate(credential, api, method)
}

// Authenticate does the same as the method Caller, for a bearer token that has been read already.
func (g *Guard) Authenticate(credential string, api API, method string) (Caller, error) {
	access, err := g.issuer.Bearer(g.worlds.Load().State, credential, api.Host)
	switch {
	case !g.checked && (err == nil || !g.issuer.IsOver(credential)):
		return Caller{guard: g, Principal: access.Principal, Scopes: access.Scopes}, nil
	case token.IsRefusal(err):
		return Caller{}, api.refuse(err, credential, method)
	case err != nil:
		return Caller{}, err
	case !slices.ContainsFunc(access.Scopes, func(scope string) bool { return slices.Contains(api.Scopes, scope) }):
		return Caller{}, googleapi.ScopesInsufficient(api.Scopes).WithInfo(api.info("ACCESS_TOKEN_SCOPE_INSUFFICIENT", method))
	default:
		return Caller{guard: g, Principal: access.Principal, Scopes: access.Scopes, bounded: access.Boundary != nil}, nil
	}
}

// Project authorizes a method of the project in the path of a request. The caller needs the given
// permission on the project, which has to be the world's.
func (g *Guard) Project(r *http.Request, api API, method, permission string) error {
	caller, err := g.Caller(r, api, method)
	if err != nil {
		return err
	}
	if !g.worlds.Load().State.Project.Is(r.PathValue("project")) {
		return googleapi.NotFound("Requested entity was not found.")
	}
	return caller.Need(permission, nil)
}

// Need returns an error of status 403 if the caller lacks a permission on a resource or, if
// the resource is nil, on the project.
func (c Caller) Need(permission string, on world.Resource) error {
	return c.need(c.Principal, permission, on)
}

// NeedAs does the same as Need for a service account through which the caller acts.
func (c Caller) NeedAs(account *world.ServiceAccount, permission string, on world.Resource) error {
	return c.need(account.Principal(), permission, on)
}

// need asks the policies. A credential with an access boundary is good for Cloud Storage only.
func (c Caller) need(who iam.Principal, permission string, on world.Resource) error {
	if !c.bounded && (!c.guard.strict || c.guard.worlds.Load().State.May(who, permission, on, c.guard.issuer.Now())) {
		return nil
	}
	err := googleapi.PermissionDenied(fmt.Sprintf("Permission '%s' denied on resource (or it may not exist).", permission))
	return err.WithInfo(googleapi.ErrorInfo{
		Reason:   "IAM_PERMISSION_DENIED",
		Domain:   "iam.googleapis.com",
		Metadata: map[string]string{"permission": permission},
	})
}

// refuse returns the error for a credential that is not valid. It gives the reason if Google has a
// name for it (https://github.com/googleapis/googleapis/blob/master/google/api/error_reason.proto).
func (a API) refuse(err error, credential, method string) error {
	invalid := googleapi.CredentialsInvalid()
	switch {
	case errors.Is(err, token.ErrExpired):
		return invalid.WithInfo(a.info("ACCESS_TOKEN_EXPIRED", method))
	case errors.Is(err, token.ErrInactive):
		return invalid.WithInfo(a.info("ACCOUNT_STATE_INVALID", method))
	case !token.IsAccess(credential):
		return invalid.WithInfo(a.info("ACCESS_TOKEN_TYPE_UNSUPPORTED", method))
	default:
		return invalid
	}
}

func (a API) info(reason, method string) googleapi.ErrorInfo {
	return googleapi.ErrorInfo{
		Reason:   reason,
		Domain:   "googleapis.com",
		Metadata: map[string]string{"method": a.Service + "." + method, "service": a.Host},
	}
}

// Bearer returns the bearer token of a request (RFC 6750, section 2; the query parameter is
// Google's standard parameter access_token). If a request has no credential, or one that is not a
// bearer token, the error has status 401.
func Bearer(r *http.Request, api API, method string) (string, error) {
	authorization := r.Header.Get("Authorization")
	if authorization == "" {
		if token := oauthapi.ReadQuery(r).Get("access_token"); token != "" {
			return token, nil
		}
	}
	return BearerOf(authorization, api, method)
}

// BearerOf returns the bearer token of an Authorization header.
func BearerOf(authorization string, api API, method string) (string, error) {
	if authorization == "" {
		return "", googleapi.CredentialsMissing().WithInfo(api.info("CREDENTIALS_MISSING", method))
	}
	token, ok := oauthapi.BearerOf(authorization)
	if !ok {
		return "", googleapi.CredentialsInvalid()
	}
	return token, nil
}
