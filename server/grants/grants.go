// Package grants is the OAuth 2.0 token endpoint: it exchanges a grant for an access token
// or an ID token.
//
// An assertion (RFC 7523) is really verified, in the order and with the words of Google's
// server; see verify. What the tokens are is for package token.
package grants

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"gcp-metadata-emulator/server/oauth2"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// Paths are those of the token endpoint, on whichever of Google's hosts each of them is.
func Paths() []string {
	return []string{"/token", "/oauth2/v3/token", "/oauth2/v4/token", "/o/oauth2/token"}
}

// expiresIn is what Google's server says of a token that lives for an hour.
const expiresIn = 3599

// Server answers token requests. It is safe for concurrent use.
type Server struct {
	worlds *store.Store[*world.World]
	issuer *token.Issuer
	now    func() time.Time
}

// New is a token endpoint.
func New(worlds *store.Store[*world.World], issuer *token.Issuer, now func() time.Time) *Server {
	return &Server{worlds: worlds, issuer: issuer, now: now}
}

// accessTokenResponse is a successful answer (RFC 6749, section 5.1).
type accessTokenResponse struct {
	AccessToken string `json:"access_token"`
	ExpiresIn   int    `json:"expires_in"`
	TokenType   string `json:"token_type"`
}

type idTokenResponse struct {
	IDToken string `json:"id_token"`
}

// Token exchanges a grant.
func (s *Server) Token(r *http.Request) (wire.Response, error) {
	form, err := oauth2.ReadForm(r)
	if err != nil {
		return wire.Response{}, err
	}
	switch grantType := form.Get("grant_type"); grantType {
	case oauth2.GrantTypeJWTBearer:
		return s.jwtBearer(r, form)
	default:
		return wire.Response{}, oauth2.NewError(oauth2.UnsupportedGrantType, "Invalid grant_type: "+grantType)
	}
}

func (s *Server) jwtBearer(r *http.Request, form url.Values) (wire.Response, error) {
	verifier := verifier{world: s.worlds.Load().State, issuer: s.issuer, now: s.now(), audiences: audiences(r)}
	granted, err := verifier.verify(form)
	if err != nil {
		return wire.Response{}, err
	}
	if granted.audience != "" {
		return s.idToken(r.Context(), granted)
	}
	issued, err := s.issuer.Access(r.Context(), token.ForAccount(granted.account, granted.scopes), world.DefaultTokenLifetime)
	if err != nil {
		return wire.Response{}, fmt.Errorf("issue an access token for %q: %w", granted.account.Email, err)
	}
	return oauth2.JSON(accessTokenResponse{AccessToken: issued.Text, ExpiresIn: expiresIn, TokenType: "Bearer"}), nil
}

// idToken answers with an ID token whose authorised party is, unlike that of the metadata
// server, the account's e-mail address.
func (s *Server) idToken(ctx context.Context, granted grant) (wire.Response, error) {
	issued, err := s.issuer.ID(ctx, token.Claims{
		Audience:        granted.audience,
		AuthorizedParty: granted.account.Email,
		Subject:         granted.account.UniqueID,
		Email:           granted.account.Email,
	})
	if err != nil {
		return wire.Response{}, fmt.Errorf("issue an ID token for %q: %w", granted.account.Email, err)
	}
	return oauth2.JSON(idTokenResponse{IDToken: issued.Text}), nil
}

// audiences are the ones that an assertion may be meant for: Google's token endpoints
// under each of their names, and this one under the name by which it was reached.
func audiences(r *http.Request) []string {
	accepted := []string{
		"https://oauth2.googleapis.com/token",
		"https://oauth2.mtls.googleapis.com/token",
		"https://www.googleapis.com/oauth2/v4/token",
		"https://www.googleapis.com/oauth2/v3/token",
		"https://accounts.google.com/o/oauth2/token",
	}
	for _, path := range Paths() {
		accepted = append(accepted, "http://"+r.Host+path, "https://"+r.Host+path)
	}
	return accepted
}
