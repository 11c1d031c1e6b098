// Package userinfo is the endpoint that tells an application who has signed in (OpenID
// Connect Core 1.0, section 5.3).
//
// It tells what the scopes of the bearer token cover. Whose token it is, is for package token
// to say; unlike other APIs of the emulator this one can say nothing of a token that it does
// not know, and refuses it whether the emulator is strict or not.
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

// picture is the one that Google shows for accounts without one.
const picture = "https://lh3.googleusercontent.com/a/default-user"

// Server answers userinfo requests. It is safe for concurrent use.
type Server struct {
	worlds *store.Store[*world.World]
	issuer *token.Issuer
	guard  *guard.Guard
}

// New is a userinfo endpoint.
func New(worlds *store.Store[*world.World], issuer *token.Issuer) *Server {
	return &Server{worlds: worlds, issuer: issuer, guard: guard.NewStrict(worlds, issuer)}
}

// profile is what is known of a caller; what the scopes do not cover is empty.
type profile struct {
	id, email, name, givenName, familyName string
}

// Describe answers with the claims of OpenID Connect, as version 3 does, and refuses in the
// terms of OAuth 2.0.
func (s *Server) Describe(r *http.Request) (wire.Response, error) {
	known, err := s.caller(r)
	if refusal, ok := errors.AsType[*googleapi.Error](err); ok {
		return wire.Response{}, &oauthapi.Error{
			Status:      http.StatusUnauthorized,
			Code:        oauthapi.InvalidRequest,
			Description: "Invalid Credentials",
			Challenge:   refusal.Challenge,
		}
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

// DescribeOld answers as versions 1 and 2 do, in the terms of a Google API.
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

// Subject is what a request is about: whom its bearer token speaks for, expired or not.
func (s *Server) Subject(r *http.Request) wire.Subject {
	bearer, err := guard.Bearer(r, api(), "")
	if err != nil {
		return wire.Subject{}
	}
	known, _ := s.issuer.Recognise(bearer)
	return wire.Subject{Account: known.Principal.Email}
}

// caller is what the request's bearer may know.
func (s *Server) caller(r *http.Request) (profile, error) {
	caller, err := s.guard.Caller(r, api(), "GetUserInfo")
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

func api() guard.API {
	return guard.API{
		Host:    "www.googleapis.com",
		Service: "google.identity.oauth2.OAuth2",
		Scopes:  oauthapi.IdentityScopes(),
	}
}
