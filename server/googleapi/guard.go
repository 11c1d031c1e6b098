package googleapi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world"
)

// API is one of Google's APIs, as its callers and its errors name it.
type API struct {
	Host    string   // iamcredentials.googleapis.com
	Service string   // google.iam.credentials.v1.IAMCredentials
	Scopes  []string // a caller's token needs one of them
}

// Guard decides who may call a method of an API. A strict one demands a credential of this
// emulator's that is good, with enough scope, and asks the world's policies. Any other refuses
// what the emulator knows to be good no longer, and lets every other bearer token through.
type Guard struct {
	worlds *store.Store[*world.World]
	issuer *token.Issuer

	checked bool // credentials and scopes are looked at
	strict  bool // and policies asked besides
}

// NewGuard is a guard that is not strict.
func NewGuard(worlds *store.Store[*world.World], issuer *token.Issuer) *Guard {
	return &Guard{worlds: worlds, issuer: issuer}
}

// NewStrictGuard is a strict guard.
func NewStrictGuard(worlds *store.Store[*world.World], issuer *token.Issuer) *Guard {
	return &Guard{worlds: worlds, issuer: issuer, checked: true, strict: true}
}

// Checking is a guard that demands a good credential with enough scope whether g does or
// not, and asks the policies where g does.
func (g *Guard) Checking() *Guard {
	checking := *g
	checking.checked = true
	return &checking
}

// Caller is who calls a method.
type Caller struct {
	Principal iam.Principal // of kind iam.KindUnknown for a token that is not the emulator's
	Scopes    []string      // of the credential, where it is the emulator's

	guard   *Guard
	bounded bool // by an access boundary
}

// Caller reads the credential of a request to a method of an API. The error is one that
// clients may read, or says why the keys cannot be read.
func (g *Guard) Caller(r *http.Request, api API, method string) (Caller, error) {
	credential, err := Bearer(r, api, method)
	if err != nil {
		return Caller{}, err
	}
	return g.Authenticate(credential, api, method)
}

// Authenticate is Caller for a credential that is at hand.
func (g *Guard) Authenticate(credential string, api API, method string) (Caller, error) {
	access, err := g.issuer.Bearer(g.worlds.Load().State, credential, api.Host)
	switch {
	case !g.checked && (err == nil || !g.issuer.IsOver(credential)):
		return Caller{guard: g, Principal: access.Principal, Scopes: access.Scopes}, nil
	case token.IsRefusal(err):
		return Caller{}, credentialsInvalid()
	case err != nil:
		return Caller{}, err
	case !slices.ContainsFunc(access.Scopes, func(scope string) bool { return slices.Contains(api.Scopes, scope) }):
		return Caller{}, scopeInsufficient(api, method)
	default:
		return Caller{guard: g, Principal: access.Principal, Scopes: access.Scopes, bounded: access.Boundary != nil}, nil
	}
}

// Need returns the error of status 403 where the caller lacks a permission on a service
// account, or on the project where the account is nil.
func (c Caller) Need(permission string, on *world.ServiceAccount) error {
	return c.need(c.Principal, permission, on)
}

// NeedAs is Need for a service account through which the caller acts.
func (c Caller) NeedAs(account *world.ServiceAccount, permission string, on *world.ServiceAccount) error {
	return c.need(account.Principal(), permission, on)
}

// need asks the policies. What an access boundary lets through is Cloud Storage alone.
func (c Caller) need(who iam.Principal, permission string, on *world.ServiceAccount) error {
	if !c.bounded && (!c.guard.strict || c.guard.worlds.Load().State.May(who, permission, on)) {
		return nil
	}
	err := PermissionDenied(fmt.Sprintf("Permission '%s' denied on resource (or it may not exist).", permission))
	err.Details = []any{ErrorInfo{
		Type:     errorInfoType,
		Reason:   "IAM_PERMISSION_DENIED",
		Domain:   "iam.googleapis.com",
		Metadata: map[string]string{"permission": permission},
	}}
	return err
}

// expectedCredential ends the message of every 401.
const expectedCredential = "Expected OAuth 2 access token, login cookie or other valid authentication credential. " +
	"See https://developers.google.com/identity/sign-in/web/devconsole-project."

const (
	challenge     = `Bearer realm="https://accounts.google.com/"`
	errorInfoType = "type.googleapis.com/google.rpc.ErrorInfo"
)

func credentialsMissing(api API, method string) *Error {
	return &Error{
		Code:      http.StatusUnauthorized,
		Message:   "Request is missing required authentication credential. " + expectedCredential,
		Status:    "UNAUTHENTICATED",
		Details:   []any{api.errorInfo("CREDENTIALS_MISSING", method)},
		Challenge: challenge,
	}
}

func credentialsInvalid() *Error {
	return Unauthenticated("Request had invalid authentication credentials. " + expectedCredential)
}

func scopeInsufficient(api API, method string) *Error {
	err := PermissionDenied("Request had insufficient authentication scopes.")
	err.Details = []any{api.errorInfo("ACCESS_TOKEN_SCOPE_INSUFFICIENT", method)}
	err.Challenge = challenge + `, error="insufficient_scope", scope="` + strings.Join(api.Scopes, " ") + `"`
	return err
}

func (a API) errorInfo(reason, method string) ErrorInfo {
	return ErrorInfo{
		Type:     errorInfoType,
		Reason:   reason,
		Domain:   "googleapis.com",
		Metadata: map[string]string{"method": a.Service + "." + method, "service": a.Host},
	}
}

// Bearer is the bearer token of a request (RFC 6750, section 2; the query parameter is
// Google's standard parameter access_token). A request without a credential, or with one
// that is no bearer token, gets the error of status 401.
func Bearer(r *http.Request, api API, method string) (string, error) {
	authorization := r.Header.Get("Authorization")
	if authorization == "" {
		if token := r.URL.Query().Get("access_token"); token != "" {
			return token, nil
		}
	}
	return BearerOf(authorization, api, method)
}

// BearerOf is Bearer for what an Authorization header says.
func BearerOf(authorization string, api API, method string) (string, error) {
	if authorization == "" {
		return "", credentialsMissing(api, method)
	}
	scheme, token, _ := strings.Cut(authorization, " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", credentialsInvalid()
	}
	return token, nil
}
