package sts

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// introspection is the description of a token (RFC 7662, section 2.2). 64-bit integers are
// strings, as in the JSON mapping of protocol buffers.
type introspection struct {
	Active   bool   `json:"active"`
	ClientID string `json:"client_id,omitempty"`
	Expires  string `json:"exp,omitempty"`
	IssuedAt string `json:"iat,omitempty"`
	Issuer   string `json:"iss,omitempty"`
	Scope    string `json:"scope,omitempty"`
	Subject  string `json:"sub,omitempty"`
	Username string `json:"username,omitempty"`
}

// Introspect describes the access token in the parameter "token" (RFC 7662). Anyone with a token
// may ask about it.
func (s *Server) Introspect(r *http.Request) (wire.Response, error) {
	form, err := readParameters(r)
	if err != nil {
		return wire.Response{}, err
	}
	text, err := form.need("token")
	if err != nil {
		return wire.Response{}, err
	}
	access, err := s.recognise(text)
	if _, refused := errors.AsType[*oauthapi.Error](err); refused {
		return compact(introspection{}), nil
	}
	if err != nil {
		return wire.Response{}, err
	}
	username := access.Principal.Email
	if access.Principal.Kind == iam.KindFederated {
		username = access.Principal.Member()
	}
	return compact(introspection{
		Active:   true,
		ClientID: access.Client,
		Expires:  strconv.FormatInt(access.Expires, 10),
		IssuedAt: strconv.FormatInt(access.IssuedAt, 10),
		Issuer:   "https://sts.googleapis.com/",
		Scope:    strings.Join(access.Scopes, " "),
		Subject:  access.Principal.ID,
		Username: username,
	}), nil
}

// refreshed is a successful answer to a refresh token (RFC 6749, section 5.1).
type refreshed struct {
	AccessToken string `json:"access_token"`
	ExpiresIn   int64  `json:"expires_in"`
	TokenType   string `json:"token_type"`
	Scope       string `json:"scope"`
}

// OAuthToken exchanges the refresh token of a workforce pool's member for an access token. It
// does not accept authorization codes, because Google's page that issues them is not emulated.
func (s *Server) OAuthToken(r *http.Request) (wire.Response, error) {
	form, err := readParameters(r)
	if err != nil {
		return wire.Response{}, err
	}
	client, err := s.client(r, form)
	if err != nil {
		return wire.Response{}, err
	}
	if grantType := form.get("grant_type"); grantType != oauthapi.GrantTypeRefreshToken {
		return wire.Response{}, oauthapi.NewError(oauthapi.UnsupportedGrantType, "Invalid grant_type: "+grantType)
	}
	text, err := form.need("refresh_token")
	if err != nil {
		return wire.Response{}, err
	}
	refresh, err := s.issuer.RecogniseRefresh(text)
	switch {
	case errors.Is(err, token.ErrUnknown):
		return wire.Response{}, oauthapi.NewError(oauthapi.InvalidGrant, "Bad Request").Because("the refresh token was not issued by this emulator, or was changed afterwards")
	case errors.Is(err, token.ErrRevoked):
		return wire.Response{}, oauthapi.NewError(oauthapi.InvalidGrant, "Token has been expired or revoked.")
	case err != nil:
		return wire.Response{}, err
	case refresh.Client != client || refresh.Principal.Pool != world.WorkforcePool:
		return wire.Response{}, oauthapi.NewError(oauthapi.InvalidGrant, "Bad Request").Because("the refresh token was not issued to client %q for a workforce pool", client)
	}
	if _, ok := s.worlds.Load().State.User(refresh.Principal.ID); !ok {
		return wire.Response{}, oauthapi.NewError(oauthapi.InvalidGrant, "Bad Request").Because("user %q does not exist in the fixture", refresh.Principal.Email)
	}
	issued, err := s.issuer.Access(r.Context(), refresh.Grant, maxLifetime)
	if err != nil {
		return wire.Response{}, fmt.Errorf("issue a token for %q: %w", refresh.Principal.Member(), err)
	}
	response := compact(refreshed{
		AccessToken: issued.Text, TokenType: oauthapi.TokenTypeBearer,
		ExpiresIn: int64(maxLifetime/time.Second) - 1,
		Scope:     strings.Join(refresh.Scopes, " "),
	})
	response.Defective = issued.IsDefective()
	return response, nil
}

// client returns the ID of the OAuth client that sent the request. The client authenticates with
// HTTP Basic authentication or with parameters (RFC 6749, section 2.3.1).
func (s *Server) client(r *http.Request, form parameters) (string, error) {
	id, secret, ok := r.BasicAuth()
	if !ok {
		id, secret = form.get("client_id"), form.get("client_secret")
	}
	if client, known := s.worlds.Load().State.OAuthClient(id); !known || !client.Accepts(secret) {
		return "", &oauthapi.Error{Status: http.StatusUnauthorized, Code: oauthapi.InvalidClient, Description: "Unauthorized"}
	}
	return id, nil
}
