// Package oauth2 implements Google's OAuth 2.0 authorization server. It exchanges grants for
// tokens, and has the pages on which users consent.
//
// It fully verifies an assertion (RFC 7523), in the order and with the error texts of Google's
// server; see verify. A user's grant is a refresh token, or starts on a page with the fixture's
// users. A person chooses a user there without a password. The authorization endpoint (RFC 6749,
// section 3.1) and the device flow (RFC 8628) each have such a page. Package token decides the
// content of tokens.
package oauth2

import (
	"net/http"
	"time"

	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/retired"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// paths returns the paths of the token endpoint on all of Google's hosts.
func paths() []string {
	return []string{"/token", "/oauth2/v3/token", "/oauth2/v4/token", "/o/oauth2/token"}
}

const expiresIn = 3599 // the value that Google's server sends for a lifetime of one hour

// Server is an authorization server. It is safe for concurrent use.
type Server struct {
	worlds  *store.Store[*world.World]
	issuer  *token.Issuer
	now     func() time.Time
	answers func(host, port string) bool
	spent   retired.Set // the sessions of the codes that were exchanged: each session has one code
	devices devices
}

// New returns an authorization server. now is its clock. answers reports whether a host, in the
// form of hostname.Of, and a port are an address of the emulator.
func New(worlds *store.Store[*world.World], issuer *token.Issuer, now func() time.Time, answers func(host, port string) bool) *Server {
	return &Server{worlds: worlds, issuer: issuer, now: now, answers: answers, spent: retired.NewSet(RememberedCodes), devices: devices{newMemory()}}
}

// Share makes several processes share the server's memory of codes and devices. Call it before the
// server is used.
func (s *Server) Share(spent retired.Set, documents Documents) {
	s.spent, s.devices = spent, devices{documents}
}

// Reset forgets the exchanged codes and the waiting devices.
func (s *Server) Reset() {
	s.spent.Reset()
	s.devices.documents.Reset()
}

// tokens is a successful answer (RFC 6749, section 5.1), with its members in Google's order.
type tokens struct {
	AccessToken  string `json:"access_token"`
	ExpiresIn    int    `json:"expires_in"`
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope,omitempty"`
	TokenType    string `json:"token_type"`
	IDToken      string `json:"id_token,omitempty"`

	defective bool // one of the tokens has the defect that the request's context asks for
}

// response answers with the tokens.
func (t tokens) response() wire.Response {
	response := oauthapi.JSON(t)
	response.Defective = t.defective
	return response
}

// Token handles the token endpoint (RFC 6749, section 3.2): it exchanges a grant for tokens.
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
