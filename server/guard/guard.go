// Package guard decides who may call a method of a Google API: it reads the bearer token of a request,
// checks the token and its scopes, and asks the world's policies for permissions. It owns the
// difference between a strict emulator and any other.
//
// Package googleapi has the words of its errors. Package token verifies tokens, and packages world and
// iam evaluate policies.
package guard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world"
)

// API is one of Google's APIs, with its names for callers and errors.
type API struct {
	Host    string   // iamcredentials.googleapis.com
	Service string   // google.iam.credentials.v1.IAMCredentials
	Scopes  []string // a caller's token needs at least one of these
}

// IAM returns the names and scopes of the IAM API. Several packages play its methods.
func IAM() API {
	return API{
		Host:    "iam.googleapis.com",
		Service: "google.iam.admin.v1.IAM",
		Scopes:  []string{iam.CloudPlatform, "https://www.googleapis.com/auth/iam"},
	}
}

// Mode decides about a request without a valid credential or a permission.
type Mode string

// The modes. In every mode, the emulator refuses its own access tokens after they have expired or
// been revoked.
const (
	Off     Mode = "off"     // it is answered: every other bearer token is accepted, and no policy is asked
	Audit   Mode = "audit"   // it is answered as with Off, and the journal and the log say why Enforce would refuse it
	Enforce Mode = "enforce" // it is refused
)

// Config holds the parts of a guard. Worlds and Issuer are required.
type Config struct {
	Worlds *store.Store[*world.World]
	Issuer *token.Issuer
	Mode   Mode // empty: the world decides
}

// Guard decides about the callers of the methods of an API.
type Guard struct {
	Config

	checking bool // the guard demands a valid credential with a sufficient scope in every mode
}

// New returns a guard.
func New(config Config) *Guard { return &Guard{Config: config} }

// Checking returns a guard that demands a valid credential with a sufficient scope in every mode,
// and asks the policies in the same modes as g.
func (g *Guard) Checking() *Guard {
	return &Guard{Config: g.Config, checking: true}
}

// mode returns the mode at the moment.
func (g *Guard) mode() Mode {
	switch {
	case g.Mode != "":
		return g.Mode
	case g.Worlds.Load().State.Strict:
		return Enforce
	default:
		return Off
	}
}

// Caller is the principal that calls a method.
type Caller struct {
	Principal iam.Principal // of kind iam.KindUnknown if the token is not this emulator's
	Scopes    []string      // of the credential, if this emulator has issued it

	ctx     context.Context //nolint:containedctx // of the request, which the refusals of the caller are about
	guard   *Guard
	bounded bool // the credential has an access boundary
	checked bool // the credential has to be valid
}

// Caller authenticates the caller of a method of an API by the bearer token of the request. Clients
// may read the error, unless it reports that the keys cannot be read.
func (g *Guard) Caller(r *http.Request, api API, method string) (Caller, error) {
	credential, err := Bearer(r, api, method)
	if err != nil {
		return Caller{}, err
	}
	return g.Authenticate(r.Context(), credential, api, method)
}

// As returns a principal as the caller. Another credential than a bearer token has proved the
// principal.
func (g *Guard) As(ctx context.Context, who iam.Principal) Caller {
	return Caller{Principal: who, ctx: ctx, guard: g, checked: true}
}

// Authenticate does the same as the method Caller, for a bearer token that has been read already.
func (g *Guard) Authenticate(ctx context.Context, credential string, api API, method string) (Caller, error) {
	access, err := g.Issuer.Bearer(g.Worlds.Load().State, credential, api.Host)
	mode := g.mode()
	caller := Caller{
		Principal: access.Principal, Scopes: access.Scopes, ctx: ctx, guard: g,
		bounded: access.Boundary != nil, checked: g.checking || mode == Enforce,
	}
	refusal, refused := api.check(access, err, credential, method)
	if refused == nil {
		return caller, nil
	}
	isLenient := !caller.checked && (err == nil || !g.Issuer.IsOver(credential))
	if !isLenient || mode == Audit {
		journal.Refuse(ctx, g.explained(ctx, refusal, credential, api.Host))
	}
	if isLenient {
		return caller, nil
	}
	return Caller{}, refused
}

// explained returns the refusal of an invalid credential with a more exact reason.
func (g *Guard) explained(ctx context.Context, refusal journal.Refusal, credential, host string) journal.Refusal {
	if refusal.Code != reason.InsufficientScope && !token.IsAccess(credential) {
		why := g.Issuer.NotBearer(ctx, g.Worlds.Load().State, credential, host)
		refusal.Reason = fmt.Sprintf("the credential is not valid for %q: %s", host, why)
	}
	return refusal
}

// Judge returns the refusal of a credential by an API in the mode Enforce, or nil if the API accepts
// the credential. An API without scopes accepts every scope.
func (g *Guard) Judge(ctx context.Context, credential string, api API) (*journal.Refusal, error) {
	access, err := g.Issuer.Bearer(g.Worlds.Load().State, credential, api.Host)
	if len(api.Scopes) == 0 {
		api.Scopes = access.Scopes
	}
	refusal, err := api.check(access, err, credential, "")
	switch {
	case err == nil:
		return nil, nil //nolint:nilnil // nil means that there is no refusal
	case refusal.Reason == "":
		return nil, err
	default:
		refusal = g.explained(ctx, refusal, credential, api.Host)
		return &refusal, nil
	}
}

// check refuses a credential if it is not valid, or if the API accepts none of its scopes.
func (a API) check(access token.Access, err error, credential, method string) (journal.Refusal, error) {
	if err == nil && slices.ContainsFunc(access.Scopes, a.accepts) {
		return journal.Refusal{}, nil
	}
	refusal := journal.Refusal{Caller: access.Principal.Member()}
	switch {
	case token.IsRefusal(err):
		if refusal.Code = CodeOf(err); refusal.Code == reason.InvalidToken && !token.IsAccess(credential) {
			refusal.Code = reason.NotAccessToken
		}
		refusal.Reason = fmt.Sprintf("the credential is not valid for %q: %v", a.Host, err)
		refusal.Hint = "get a token from the emulator: gcp-metadata-emulator token access"
		return refusal, a.refuse(err, credential, method)
	case err != nil:
		return refusal, err
	default:
		refusal.Code = reason.InsufficientScope
		refusal.Reason = fmt.Sprintf("the token of %q has the scopes %q, none of which %q accepts", refusal.Caller, access.Scopes, a.Host)
		refusal.Hint = fmt.Sprintf("get a token with the scope %q", a.Scopes[0])
		return refusal, googleapi.ScopesInsufficient(a.Scopes).WithInfo(a.info(googleapi.ReasonScopes, method))
	}
}

// accepts reports whether the API accepts a scope.
func (a API) accepts(scope string) bool { return slices.Contains(a.Scopes, scope) }

// Project authorizes a method of the project in the path of a request. The caller needs the given
// permission on the project, which has to be the world's.
func (g *Guard) Project(r *http.Request, api API, method, permission string) error {
	caller, err := g.Caller(r, api, method)
	if err != nil {
		return err
	}
	if !g.Worlds.Load().State.Project.Is(r.PathValue("project")) {
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

// need asks the policies, and notes why they refuse.
func (c Caller) need(who iam.Principal, permission string, on world.Resource) error {
	mode := c.guard.mode()
	if c.has(who, permission, on) {
		return nil
	}
	if mode != Off {
		journal.Refuse(c.ctx, c.lacks(who, permission, on))
	}
	if mode != Enforce && !c.isBound() {
		return nil
	}
	err := googleapi.PermissionDenied(fmt.Sprintf("Permission '%s' denied on resource (or it may not exist).", permission))
	return err.WithInfo(googleapi.ErrorInfo{
		Reason:   "IAM_PERMISSION_DENIED",
		Domain:   "iam.googleapis.com",
		Metadata: map[string]string{"permission": permission},
	})
}

// Has reports whether Need would return no error. It notes no refusal.
func (c Caller) Has(permission string, on world.Resource) bool {
	return c.guard.mode() != Enforce && !c.isBound() || c.has(c.Principal, permission, on)
}

// isBound reports whether the access boundary of the credential holds. A credential with one is good
// for Cloud Storage only.
func (c Caller) isBound() bool { return c.checked && c.bounded }

// has asks the policies.
func (c Caller) has(who iam.Principal, permission string, on world.Resource) bool {
	if c.bounded {
		return false
	}
	return c.guard.mode() == Off || c.guard.Worlds.Load().State.May(who, permission, on, c.guard.Issuer.Now())
}

// lacks explains that a principal does not have a permission, and names the roles with this
// permission.
func (c Caller) lacks(who iam.Principal, permission string, on world.Resource) journal.Refusal {
	w := c.guard.Worlds.Load().State
	refusal := journal.Refusal{Caller: who.Member()}
	name := w.ResourceName(on)
	if c.bounded {
		refusal.Code = reason.AccessBoundary
		refusal.Reason = fmt.Sprintf("the token of %q has an access boundary, with which it is good for Cloud Storage only", refusal.Caller)
		refusal.Hint = "send the token that the bounded one was made of"
		return refusal
	}
	refusal.Code = reason.MissingPermission
	refusal.Missing = &journal.Missing{Permission: permission, Resource: name, Roles: w.RolesGranting(permission)}
	refusal.Reason = fmt.Sprintf("%q lacks %s on %q", refusal.Caller, permission, name) + unknownRoles(w.UnknownRolesOf(who, on, c.guard.Issuer.Now()))
	if len(refusal.Missing.Roles) > 0 {
		refusal.Hint = fmt.Sprintf("give it a role that has this permission, such as %q, in a policy of the resource or of the project", refusal.Missing.Roles[0])
	}
	return refusal
}

// unknownRoles ends a sentence about a principal with unknown roles, which may include a permission.
func unknownRoles(roles []world.UnknownRole) string {
	if len(roles) == 0 {
		return ""
	}
	return "; the emulator does not know its role " + strconv.Quote(roles[0].Role)
}

// NoteUnknownRoles makes the journal name the unknown roles of the caller: a permission that the caller
// seems to lack may come from them.
func (c Caller) NoteUnknownRoles(on world.Resource) {
	if unknown := c.guard.Worlds.Load().State.UnknownRolesOf(c.Principal, on, c.guard.Issuer.Now()); len(unknown) > 0 {
		journal.Refuse(c.ctx, journal.Refusal{
			Code: reason.UnknownRole, Caller: c.Principal.Member(), Reason: unknown[0].String(), Hint: unknown[0].Hint(),
		})
	}
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

// CodeOf returns the code of a refusal of a token.
func CodeOf(err error) reason.Code {
	switch {
	case errors.Is(err, token.ErrExpired):
		return reason.ExpiredToken
	case errors.Is(err, token.ErrRevoked):
		return reason.RevokedToken
	case errors.Is(err, token.ErrInactive):
		return reason.InactivePrincipal
	default:
		return reason.InvalidToken
	}
}

func (a API) info(name, method string) googleapi.ErrorInfo {
	return googleapi.ErrorInfo{
		Reason:   name,
		Domain:   "googleapis.com",
		Metadata: map[string]string{"method": a.Service + "." + method, "service": a.Host},
	}
}

// Bearer returns the bearer token of a request (RFC 6750, section 2; the query parameter is
// Google's standard parameter access_token). If a request has no credential, or another kind of
// credential, the error has status 401.
func Bearer(r *http.Request, api API, method string) (string, error) {
	authorization := r.Header.Get("Authorization")
	if authorization == "" {
		if token := oauthapi.ReadQuery(r).Get("access_token"); token != "" {
			return token, nil
		}
	}
	return BearerOf(authorization, api, method)
}

// inHeader ends a hint about a credential that is missing.
const inHeader = " in the header Authorization: Bearer TOKEN; gcp-metadata-emulator token access prints one"

// BearerOf returns the bearer token of an Authorization header.
func BearerOf(authorization string, api API, method string) (string, error) {
	if authorization == "" {
		return "", googleapi.CredentialsMissing().WithInfo(api.info(googleapi.ReasonMissing, method)).Because(journal.Refusal{
			Code: reason.NoCredential, Reason: fmt.Sprintf("the request to %q has no credential", api.Host), Hint: "send an access token" + inHeader,
		})
	}
	token, ok := oauthapi.BearerOf(authorization)
	if !ok {
		return "", googleapi.CredentialsInvalid().Because(journal.Refusal{
			Code:   reason.NotBearer,
			Reason: fmt.Sprintf("the Authorization header of the request to %q does not have the form Bearer TOKEN", api.Host),
			Hint:   "send an access token" + inHeader,
		})
	}
	return token, nil
}
