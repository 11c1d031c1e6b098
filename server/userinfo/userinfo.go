// Package userinfo implements the endpoint that describes the signed-in user to an application
// (OpenID Connect Core 1.0, section 5.3).
//
// The scopes of the bearer token decide about the claims in the answer. Package token reads the
// token. Unlike the emulator's other APIs, this endpoint refuses unknown tokens even if the
// emulator is not strict, because it knows nothing about their users.
package userinfo

import (
	"errors"
	"net/http"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// picture is the picture that Google sends for accounts without a picture.
const picture = "https://lh3.googleusercontent.com/a/default-user"

// Server handles userinfo requests. It is safe for concurrent use.
type Server struct {
	worlds *store.Store[*world.World]
	issuer *token.Issuer
	guard  *guard.Guard
}

// New returns a userinfo endpoint.
func New(worlds *store.Store[*world.World], issuer *token.Issuer) *Server {
	return &Server{worlds: worlds, issuer: issuer, guard: guard.New(guard.Config{Worlds: worlds, Issuer: issuer, Mode: guard.Enforce})}
}

// profile holds the claims that the caller's scopes cover. Other claims are empty.
type profile struct {
	id, email, name, givenName, familyName string
}

// Describe answers with OpenID Connect claims, in the form of version 3. Errors have the form of
// OAuth 2.0.
func (s *Server) Describe(r *http.Request) (wire.Response, error) {
	known, err := s.caller(r)
	if refusal, ok := errors.AsType[*googleapi.Error](err); ok {
		invalid := &oauthapi.Error{
			Status:      http.StatusUnauthorized,
			Code:        oauthapi.InvalidRequest,
			Description: "Invalid Credentials",
			Challenge:   refusal.Challenge,
		}
		return wire.Response{}, invalid.BecauseOf(refusal.Refusal())
	}
	if err != nil {
		return wire.Response{}, err
	}
	return oauthapi.JSON(struct {
		Subject       string `json:"sub"`
		Name          string `json:"name,omitempty"`
		GivenName     string `json:"given_name,omitempty"`
		FamilyName    string `json:"family_name,omitempty"`
		Picture       string `json:"picture"`
		Email         string `json:"email,omitempty"`
		EmailVerified bool   `json:"email_verified,omitempty"`
	}{known.id, known.name, known.givenName, known.familyName, picture, known.email, known.email != ""}), nil
}

// DescribeOld answers in the form of versions 1 and 2. Errors have the form of Google's APIs.
func (s *Server) DescribeOld(r *http.Request) (wire.Response, error) {
	known, err := s.caller(r)
	if err != nil {
		return wire.Response{}, err
	}
	return googleapi.JSON(struct {
		ID            string `json:"id"`
		Email         string `json:"email,omitempty"`
		VerifiedEmail bool   `json:"verified_email,omitempty"`
		Name          string `json:"name,omitempty"`
		GivenName     string `json:"given_name,omitempty"`
		FamilyName    string `json:"family_name,omitempty"`
		Picture       string `json:"picture"`
	}{known.id, known.email, known.email != "", known.name, known.givenName, known.familyName, picture}), nil
}

// Subject returns the account of the request's bearer token, even if the token has expired.
func (s *Server) Subject(r *http.Request) wire.Subject {
	bearer, err := guard.Bearer(r, API(), "")
	if err != nil {
		return wire.Subject{}
	}
	known, _ := s.issuer.Recognise(bearer)
	return wire.Subject{Account: known.Principal.Email}
}

// caller returns the profile of the request's caller, limited to the caller's scopes.
func (s *Server) caller(r *http.Request) (profile, error) {
	caller, err := s.guard.Caller(r, API(), "GetUserInfo")
	if err != nil {
		return profile{}, err
	}
	known := profile{id: caller.Principal.ID}
	if oauthapi.TellEmail(caller.Scopes) {
		known.email = caller.Principal.Email
	}
	if user, ok := s.worlds.Load().State.User(caller.Principal.ID); ok && oauthapi.TellProfile(caller.Scopes) {
		known.name = user.Name
		known.givenName, known.familyName = user.Names()
	}
	return known, nil
}

// API returns the names and scopes of the userinfo endpoint.
func API() guard.API {
	return guard.API{
		Host:    "www.googleapis.com",
		Service: "google.identity.oauth2.OAuth2",
		Scopes:  oauthapi.IdentityScopes(),
	}
}
