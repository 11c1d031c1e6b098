package control

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/purpose"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// Mint issues a token. It does not check the caller.
func (s *Server) Mint(r *http.Request) (wire.Response, error) {
	var asked struct {
		Kind     token.Kind     `json:"kind"`
		Account  string         `json:"account"` // service account or user; empty: the default instance's account
		Audience string         `json:"audience"`
		Scopes   []string       `json:"scopes"`
		Claims   map[string]any `json:"claims"`
		Lifetime string         `json:"lifetime"` // a duration such as 10m
		Format   string         `json:"format"`   // full or standard, for an ID token
		Defect   token.Defect   `json:"defect"`
		User     string         `json:"user"`    // of a Firebase token
		Project  string         `json:"project"` // of a Firebase token; empty: the fixture's
	}
	if err := readJSON(r, &asked); err != nil {
		return wire.Response{}, err
	}
	if asked.Kind == token.KindJWT && asked.Account == token.FirebaseSigner { // it signs nothing but Firebase ID tokens
		subject, _ := asked.Claims["sub"].(string)
		asked.Kind, asked.Account, asked.User = token.KindFirebase, "", cmp.Or(asked.User, subject)
	}
	current := s.worlds.Load().State
	order := token.Order{Kind: asked.Kind, Audience: asked.Audience, Scopes: asked.Scopes, Claims: asked.Claims, Defect: asked.Defect, User: asked.User, Project: asked.Project}
	var err error
	if asked.Account != "" || !asked.Kind.IsFirebase() {
		order.Principal, err = chosenPrincipal(current, asked.Account)
	}
	if err != nil {
		return wire.Response{}, err
	}
	if asked.Lifetime != "" {
		if order.Lifetime, err = time.ParseDuration(asked.Lifetime); err != nil || order.Lifetime <= 0 {
			return wire.Response{}, googleapi.InvalidArgument(fmt.Sprintf("lifetime %q is not a duration such as 10m", asked.Lifetime))
		}
	}
	switch {
	case asked.Format == "full" && asked.Kind == token.KindID:
		order.Instance = token.OnInstance(current, current.DefaultInstance())
	case asked.Format != "" && asked.Format != "standard":
		return wire.Response{}, googleapi.InvalidArgument(fmt.Sprintf("cannot use format %q; use full or standard for an ID token, and standard for other tokens", asked.Format))
	}
	issued, err := s.issuer.Mint(r.Context(), current, order)
	if refused, ok := errors.AsType[*token.OrderError](err); ok {
		return wire.Response{}, googleapi.InvalidArgument(refused.Reason)
	}
	if err != nil {
		return wire.Response{}, err
	}
	return secret(struct {
		Token   string    `json:"token"`
		Expires time.Time `json:"expires"`
	}{issued.Text, issued.Expires.UTC()}), nil
}

// chosenPrincipal returns the service account or user with this ID, or the default instance's
// account if id is empty.
func chosenPrincipal(w *world.World, id string) (iam.Principal, error) {
	if id == "" {
		attached := w.DefaultInstance().ServiceAccounts
		if len(attached) == 0 {
			return iam.Principal{}, googleapi.NotFound("the default instance has no service account; name one with \"account\"")
		}
		return attached[0].Account.Principal(), nil
	}
	who, ok := w.Principal(id)
	if !ok {
		return iam.Principal{}, googleapi.NotFound(fmt.Sprintf("there is no service account or user %q", id))
	}
	return who, nil
}

// verdict holds a valid token's content, or the reason why the token is not valid.
type verdict struct {
	Valid    bool               `json:"valid"`
	Reason   string             `json:"reason,omitempty"`   // set if not valid
	Hint     string             `json:"hint,omitempty"`     // likewise, from a receiver
	Cause    string             `json:"cause,omitempty"`    // the likely cause, if not valid
	Missing  *journal.Missing   `json:"missing,omitempty"`  // the permission that the principal lacks at a receiver
	Purposes []purpose.Decision `json:"purposes,omitempty"` // the uses of the token, unless the request names a purpose
	Kind     token.Kind         `json:"kind,omitempty"`
	Claims   map[string]any     `json:"claims,omitempty"`
	Warnings []string           `json:"warnings,omitempty"`

	bearer
}

// bearer describes the principal and the rights of a token.
type bearer struct {
	Principal string          `json:"principal,omitempty"` // in the form used in IAM policies
	Email     string          `json:"email,omitempty"`
	UniqueID  string          `json:"uniqueId,omitempty"`
	Scopes    []string        `json:"scopes,omitempty"`
	Boundary  json.RawMessage `json:"accessBoundary,omitempty"`
	Expires   time.Time       `json:"expires,omitzero"`
}

func newBearer(verified token.Verified) bearer {
	who := bearer{
		Principal: verified.Principal.Member(),
		Email:     verified.Principal.Email,
		Scopes:    verified.Scopes,
		Boundary:  verified.Boundary,
		Expires:   verified.Expires.UTC(),
	}
	if verified.Principal.Kind != iam.KindFederated {
		who.UniqueID = verified.Principal.ID
	}
	return who
}

// Verify describes a token of any kind. If the token is not valid, or the named receiver does not accept
// it, the answer has the reason in a sentence. Without a receiver, the answer lists the decision of every
// receiver.
func (s *Server) Verify(r *http.Request) (wire.Response, error) {
	var asked struct {
		Token    string `json:"token"` // also with other text around it
		Audience string `json:"audience"`
		Email    string `json:"email"`
		For      string `json:"for"` // a receiver, as purpose.Judge.Decide takes it; empty: none
	}
	if err := readJSON(r, &asked); err != nil {
		return wire.Response{}, err
	}
	text := purpose.Clean(asked.Token)
	if asked.For != "" {
		return s.verifyFor(r.Context(), asked.For, text, token.Demand{Audience: asked.Audience, Email: asked.Email})
	}
	answer, err := s.describe(r.Context(), text, token.Demand{Audience: asked.Audience, Email: asked.Email})
	if err != nil {
		return wire.Response{}, err
	}
	answer.Purposes, err = s.purposes.Every(r.Context(), text, asked.Audience)
	if !answer.Valid && err == nil {
		answer.Cause, err = s.purposes.Cause(r.Context(), text, asked.Audience)
	}
	return secret(answer), err
}

// describe returns the content of a token, or the reason why the token is not valid.
func (s *Server) describe(ctx context.Context, text string, demand token.Demand) (verdict, error) {
	verified, err := s.issuer.Verify(ctx, s.worlds.Load().State, text, demand)
	if refused, ok := errors.AsType[*token.RefusedError](err); ok {
		return verdict{Reason: refused.Reason}, nil
	}
	if err != nil {
		return verdict{}, err
	}
	answer := verdict{Valid: true, Kind: verified.Kind, Claims: verified.Claims, bearer: newBearer(verified)}
	if email, _ := verified.Claims["email"].(string); verified.Kind == token.KindID && email == "" {
		answer.Warnings = []string{"the token has no e-mail address, but some verifiers require one"}
	}
	return answer, nil
}

// verifyFor describes a token if the named receiver takes it and it meets the demand.
func (s *Server) verifyFor(ctx context.Context, receiver, text string, demand token.Demand) (wire.Response, error) {
	decided, err := s.purposes.Decide(ctx, receiver, text, demand.Audience)
	if unknown, ok := errors.AsType[*purpose.UnknownError](err); ok {
		if unknown.IsMissing {
			return wire.Response{}, googleapi.NotFound(unknown.Message)
		}
		return wire.Response{}, googleapi.InvalidArgument(unknown.Message)
	}
	if err != nil {
		return wire.Response{}, err
	}
	answer := verdict{Valid: decided.Valid, Reason: decided.Reason, Hint: decided.Hint, Cause: decided.Cause, Missing: decided.Missing}
	if decided.Valid && !decided.Anybody {
		described, err := s.describe(ctx, text, demand)
		if err != nil {
			return wire.Response{}, err
		}
		// A receiver with only the published keys accepts tokens that the emulator itself refuses.
		if described.Valid || receiver != purpose.OpenID || demand.Email != "" {
			answer = described
		}
	}
	answer.Warnings = append(decided.Warnings, answer.Warnings...)
	return secret(answer), nil
}

// Principal tells another emulator the principal of a bearer token, and whether IAM policies
// grant a permission. It accepts the same tokens as this emulator's APIs. "audience" is the host
// of the other emulator, for JWTs that a service account signed for it.
func (s *Server) Principal(r *http.Request) (wire.Response, error) {
	var asked struct {
		Token      string `json:"token"`
		Audience   string `json:"audience"`
		Permission string `json:"permission"`
		Resource   string `json:"resource"` // named as in a fixture's policies; empty: the project
	}
	if err := readJSON(r, &asked); err != nil {
		return wire.Response{}, err
	}
	current := s.worlds.Load().State
	on, err := chosenResource(current, asked.Resource)
	if err != nil {
		return wire.Response{}, err
	}
	host := strings.TrimSuffix(strings.TrimPrefix(asked.Audience, "https://"), "/")
	access, err := s.issuer.Bearer(current, asked.Token, host)
	if token.IsRefusal(err) {
		return wire.Response{}, googleapi.Unauthenticated(s.issuer.NotBearer(r.Context(), current, asked.Token, host))
	}
	if err != nil {
		return wire.Response{}, err
	}
	answer := struct {
		Kind token.Kind `json:"kind"`
		bearer

		Allowed  *bool    `json:"allowed,omitempty"`
		Warnings []string `json:"warnings,omitempty"` // about roles of the principal that the emulator does not know
	}{Kind: token.KindJWT, bearer: newBearer(token.Verified{
		Principal: access.Principal, Scopes: access.Scopes, Boundary: access.Boundary, Expires: time.Unix(access.Expires, 0),
	})}
	if token.IsAccess(asked.Token) {
		answer.Kind = token.KindAccess
	}
	if asked.Permission != "" { // access boundaries only allow Cloud Storage, which is not emulated
		answer.Allowed = new(access.Boundary == nil && current.May(access.Principal, asked.Permission, on, s.clock.Now()))
		for _, unknown := range current.UnknownRolesOf(access.Principal, on, s.clock.Now()) {
			answer.Warnings = append(answer.Warnings, unknown.String()+"; "+unknown.Hint())
		}
	}
	return secret(answer), nil
}

// chosenResource returns the service account or the service that a resource names, or nil for the project.
func chosenResource(w *world.World, resource string) (world.Resource, error) {
	if resource == "" || resource == "project" {
		return nil, nil //nolint:nilnil // nil means the project
	}
	if email, ok := strings.CutPrefix(resource, "serviceAccounts/"); ok {
		if account, known := w.Account(email); known {
			return account, nil
		}
	}
	if name, ok := strings.CutPrefix(resource, "services/"); ok {
		if service, known := w.Service(name); known {
			return service, nil
		}
	}
	return nil, googleapi.NotFound(fmt.Sprintf(`there is no resource %q; write "project", "serviceAccounts/EMAIL" or "services/NAME"`, resource))
}
