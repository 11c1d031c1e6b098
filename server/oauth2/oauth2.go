// Package oauth2 is Google's OAuth 2.0 authorization server: it exchanges grants for tokens,
// and lets users make them.
//
// An assertion (RFC 7523) is really verified, in the order and with the words of Google's
// server; see verify. A user's grant is a refresh token, or begins with a page on which one
// of the fixture's users is chosen, without a password: that of the authorization endpoint
// (RFC 6749, section 3.1) or that of the device flow (RFC 8628). What the tokens are is for
// package token.
package oauth2

import (
	"net/http"
	"time"

	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// Paths are those of the token endpoint, on whichever of Google's hosts each of them is.
func Paths() []string {
	return []string{"/token", "/oauth2/v3/token", "/oauth2/v4/token", "/o/oauth2/token"}
}

const (
	expiresIn = 3599 // what Google's server says of a token that lives for an hour
	bearer    = "Bearer"
)

// Server is an authorization server. It is safe for concurrent use.
type Server struct {
	worlds  *store.Store[*world.World]
	issuer  *token.Issuer
	now     func() time.Time
	spent   spent
	devices *devices
}

// New is an authorization server.
func New(worlds *store.Store[*world.World], issuer *token.Issuer, now func() time.Time) *Server {
	return &Server{worlds: worlds, issuer: issuer, now: now, spent: newSpent(), devices: newDevices()}
}

// Reset forgets which codes were exchanged, and the devices that wait.
func (s *Server) Reset() {
	s.spent.ids.Purge()
	s.devices.forget()
}

// tokens is a successful answer (RFC 6749, section 5.1), in Google's order.
type tokens struct {
	AccessToken  string `json:"access_token"`
	ExpiresIn    int    `json:"expires_in"`
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope,omitempty"`
	TokenType    string `json:"token_type"`
	IDToken      string `json:"id_token,omitempty"`
}

// Token exchanges a grant.
func (s *Server) Token(r *http.Request) (wire.Response, error) {
	form, err := oauthapi.ReadForm(r)
	if err != nil {
		return wire.Response{}, err
	}
	switch grantType := form.Get("grant_type"); grantType {
	case oauthapi.GrantTypeJWTBearer:
		return s.jwtBearer(r, form)
	case oauthapi.GrantTypeAssertion:
		return s.assertion(r, form)
	case oauthapi.GrantTypeAuthorizationCode:
		return s.authorizationCode(r, form)
	case oauthapi.GrantTypeRefreshToken:
		return s.refreshToken(r, form)
	case oauthapi.GrantTypeDeviceCode, oauthapi.GrantTypeDeviceDraft:
		return s.deviceGrant(r, form)
	default:
		return wire.Response{}, oauthapi.NewError(oauthapi.UnsupportedGrantType, "Invalid grant_type: "+grantType)
	}
}
