package oauth2

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"

	"gcp-metadata-emulator/server/lru"
	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
)

// codePrefix is the prefix of Google's authorization codes.
const codePrefix = "4/0"

// codeLifetime is the maximum lifetime that RFC 6749, section 4.1.2, recommends.
const codeLifetime = 10 * time.Minute

// Error texts of Google's server.
const (
	malformedCode    = "Malformed auth code."
	missingVerifier  = "Missing code verifier."
	invalidVerifier  = "Invalid code verifier."
	needlessVerifier = "code_verifier or verifier is not needed."
)

// code is the content of an authorization code, sealed. It carries the grant itself, so the
// server stores nothing for it.
type code struct {
	token.Grant

	ID          string    `json:"jti"`
	RedirectURI string    `json:"redirect,omitempty"`
	Nonce       string    `json:"nonce,omitempty"`
	Challenge   challenge `json:"challenge,omitzero"`
	Expires     int64     `json:"exp"` // Unix seconds
}

// challenge is a PKCE challenge that the client must answer (RFC 7636). The zero value means that
// the client sent none.
type challenge struct {
	Text   string `json:"text"`
	Method string `json:"method"` // plain or S256
}

// Methods of RFC 7636, section 4.2.
const (
	challengePlain = "plain"
	challengeS256  = "S256"
)

// prove checks a verifier against the challenge. A verifier without a challenge is refused: an
// attacker may have injected a code into the request (RFC 9700, section 4.8.2).
func (c challenge) prove(verifier string) error {
	answer := verifier
	if c.Method == challengeS256 {
		sum := sha256.Sum256([]byte(verifier))
		answer = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	switch {
	case c.Text == "" && verifier == "":
		return nil
	case c.Text == "":
		return oauthapi.NewError(oauthapi.InvalidGrant, needlessVerifier)
	case verifier == "":
		return oauthapi.NewError(oauthapi.InvalidGrant, missingVerifier)
	case subtle.ConstantTimeCompare([]byte(answer), []byte(c.Text)) == 0:
		return oauthapi.NewError(oauthapi.InvalidGrant, invalidVerifier)
	default:
		return nil
	}
}

// seal returns an authorization code for one use within codeLifetime.
func (s *Server) seal(granted code) (string, error) {
	sealer, err := s.issuer.Sealer(codePrefix)
	if err != nil {
		return "", err
	}
	granted.ID, granted.Expires = uuid.NewString(), s.now().Add(codeLifetime).Unix()
	return sealer.Seal(granted)
}

// spent holds the codes that were exchanged most recently. maxSpent is more than the number of
// codes normally issued within codeLifetime.
type spent struct{ ids *lru.Cache[string, struct{}] }

const maxSpent = 1 << 12

func newSpent() spent {
	return spent{ids: lru.New[string, struct{}](maxSpent)}
}

// again reports whether the code was exchanged before, and records it as exchanged.
func (s spent) again(granted code) bool {
	known, _ := s.ids.ContainsOrAdd(granted.ID, struct{}{})
	return known
}

// authorizationCode exchanges a code (RFC 6749, section 4.1.3). A second use may be a theft, so
// it revokes the tokens that the first use got.
func (s *Server) authorizationCode(r *http.Request, form url.Values) (wire.Response, error) {
	current := s.worlds.Load().State
	client, err := authenticate(current, r, form)
	if err != nil {
		return wire.Response{}, err
	}
	granted, err := s.openCode(form.Get("code"))
	if err != nil {
		return wire.Response{}, err
	}
	if err := granted.usable(client.ID, form, s.now()); err != nil {
		return wire.Response{}, err
	}
	if s.spent.again(granted) {
		s.issuer.RevokeSession(granted.Session)
		return wire.Response{}, oauthapi.NewError(oauthapi.InvalidGrant, badRequest)
	}
	return s.issueFirst(r.Context(), current, granted.Grant, token.Claims{Nonce: granted.Nonce})
}

func (s *Server) openCode(text string) (code, error) {
	if text == "" {
		return code{}, oauthapi.Missing("code")
	}
	sealer, err := s.issuer.Sealer(codePrefix)
	if err != nil {
		return code{}, err
	}
	var granted code
	if sealer.Open(text, &granted) != nil {
		return code{}, oauthapi.NewError(oauthapi.InvalidGrant, malformedCode)
	}
	return granted, nil
}

// usable checks that the request may exchange the code.
func (c code) usable(client string, form url.Values, now time.Time) error {
	switch {
	case now.Unix() >= c.Expires, c.Client != client:
		return oauthapi.NewError(oauthapi.InvalidGrant, badRequest)
	case c.RedirectURI != form.Get("redirect_uri"):
		return oauthapi.NewError(oauthapi.RedirectURIMismatch, badRequest)
	default:
		return c.Challenge.prove(form.Get("code_verifier"))
	}
}
