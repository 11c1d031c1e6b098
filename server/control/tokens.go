package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// Mint issues a token, whoever asks.
func (s *Server) Mint(r *http.Request) (wire.Response, error) {
	var asked struct {
		Kind     token.Kind     `json:"kind"`
		Account  string         `json:"account"` // a service account or a user; empty: that of the default instance
		Audience string         `json:"audience"`
		Scopes   []string       `json:"scopes"`
		Claims   map[string]any `json:"claims"`
		Lifetime string         `json:"lifetime"` // 10m
		Format   string         `json:"format"`   // full, of an ID token
		Defect   token.Defect   `json:"defect"`
	}
	if err := readJSON(r, &asked); err != nil {
		return wire.Response{}, err
	}
	current := s.worlds.Load().State
	order := token.Order{Kind: asked.Kind, Audience: asked.Audience, Scopes: asked.Scopes, Claims: asked.Claims, Defect: asked.Defect}
	var err error
	if order.Principal, err = chosenPrincipal(current, asked.Account); err != nil {
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
		return wire.Response{}, googleapi.InvalidArgument(fmt.Sprintf("format %q is neither full nor standard, of an ID token", asked.Format))
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

// chosenPrincipal is a service account or a user who is named, or the account that the
// default instance runs as.
func chosenPrincipal(w *world.World, id string) (iam.Principal, error) {
	if id == "" {
		attached := w.DefaultInstance().ServiceAccounts
		if len(attached) == 0 {
			return iam.Principal{}, googleapi.NotFound("the default instance has no service account; name one as account")
		}
		return attached[0].Account.Principal(), nil
	}
	who, ok := w.Principal(id)
	if !ok {
		return iam.Principal{}, googleapi.NotFound(fmt.Sprintf("there is no service account or user %q", id))
	}
	return who, nil
}

// verdict is what a token says, or why it is refused.
type verdict struct {
	Valid    bool           `json:"valid"`
	Reason   string         `json:"reason,omitempty"` // why not
	Kind     token.Kind     `json:"kind,omitempty"`
	Claims   map[string]any `json:"claims,omitempty"`
	Warnings []string       `json:"warnings,omitempty"`

	bearer
}

// bearer is whom a token speaks for, and for what.
type bearer struct {
	Principal string          `json:"principal,omitempty"` // as policies name it
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

// Verify tells what a token of any kind says, or in one sentence why it is not good.
func (s *Server) Verify(r *http.Request) (wire.Response, error) {
	var asked struct {
		Token    string `json:"token"`
		Audience string `json:"audience"`
		Email    string `json:"email"`
	}
	if err := readJSON(r, &asked); err != nil {
		return wire.Response{}, err
	}
	verified, err := s.issuer.Verify(r.Context(), s.worlds.Load().State, asked.Token, token.Demand{Audience: asked.Audience, Email: asked.Email})
	if refused, ok := errors.AsType[*token.RefusedError](err); ok {
		return secret(verdict{Reason: refused.Reason}), nil
	}
	if err != nil {
		return wire.Response{}, err
	}
	answer := verdict{Valid: true, Kind: verified.Kind, Claims: verified.Claims, bearer: newBearer(verified)}
	if _, named := verified.Claims["email"]; verified.Kind == token.KindID && !named {
		answer.Warnings = []string{"the token names no e-mail address, which some verifiers ask for"}
	}
	return secret(answer), nil
}

// Principal tells another emulator who calls it with a bearer token, and whether the
// policies give them a permission. Tokens are taken as this emulator's own APIs take them;
// the audience is the other's host, for which a service account may have signed one itself.
func (s *Server) Principal(r *http.Request) (wire.Response, error) {
	var asked struct {
		Token      string `json:"token"`
		Audience   string `json:"audience"`
		Permission string `json:"permission"`
		Resource   string `json:"resource"` // as in a fixture's policies; empty: the project
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
		return wire.Response{}, s.explain(r, current, asked.Token, host)
	}
	if err != nil {
		return wire.Response{}, err
	}
	answer := struct {
		Kind token.Kind `json:"kind"`
		bearer

		Allowed *bool `json:"allowed,omitempty"`
	}{Kind: token.KindJWT, bearer: newBearer(token.Verified{
		Principal: access.Principal, Scopes: access.Scopes, Boundary: access.Boundary, Expires: time.Unix(access.Expires, 0),
	})}
	if token.IsAccess(asked.Token) {
		answer.Kind = token.KindAccess
	}
	if asked.Permission != "" { // what an access boundary lets through is Cloud Storage alone, which we do not know
		answer.Allowed = new(access.Boundary == nil && current.May(access.Principal, asked.Permission, on))
	}
	return secret(answer), nil
}

// explain says why a token is no bearer token of an API.
func (s *Server) explain(r *http.Request, w *world.World, text, host string) error {
	verified, err := s.issuer.Verify(r.Context(), w, text, token.Demand{})
	refused, ok := errors.AsType[*token.RefusedError](err)
	switch {
	case ok:
		return googleapi.Unauthenticated(refused.Reason)
	case err != nil:
		return err
	case verified.Kind != token.KindJWT:
		return googleapi.Unauthenticated(fmt.Sprintf("a token of kind %q is no bearer token", verified.Kind))
	default:
		return googleapi.Unauthenticated(fmt.Sprintf("the JSON Web Token is not one that a service account has signed for %q for up to an hour", host))
	}
}

// chosenResource is the service account that a resource names, or nil for the project.
func chosenResource(w *world.World, resource string) (*world.ServiceAccount, error) {
	if resource == "" || resource == "project" {
		return nil, nil //nolint:nilnil // the project, to a policy
	}
	email, ok := strings.CutPrefix(resource, "serviceAccounts/")
	account, known := w.Account(email)
	if !ok || !known {
		return nil, googleapi.NotFound(fmt.Sprintf(`there is no resource %q; write "project" or "serviceAccounts/EMAIL"`, resource))
	}
	return account, nil
}
