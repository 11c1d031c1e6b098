package oauth2

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"

	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
)

// codePrefix begins Google's authorization codes.
const codePrefix = "4/0"

// codeLifetime is the longest that RFC 6749, section 4.1.2, recommends.
const codeLifetime = 10 * time.Minute

// The words of Google's server.
const (
	malformedCode    = "Malformed auth code."
	missingVerifier  = "Missing code verifier."
	invalidVerifier  = "Invalid code verifier."
	needlessVerifier = "code_verifier or verifier is not needed."
)

// code is what an authorization code says: it carries the grant itself, sealed.
type code struct {
	token.Grant

	ID          string    `json:"jti"`
	RedirectURI string    `json:"redirect,omitempty"`
	Nonce       string    `json:"nonce,omitempty"`
	Challenge   challenge `json:"challenge,omitzero"`
	Expires     int64     `json:"exp"` // Unix seconds
}

// challenge is what a code's client has to prove (RFC 7636). The zero value is nothing.
type challenge struct {
	Text   string `json:"text"`
	Method string `json:"method"` // plain or S256
}

// Methods of RFC 7636, section 4.2.
const (
	challengePlain = "plain"
	challengeS256  = "S256"
)

// prove checks a verifier against the challenge. One that nobody asked for may be that of a
// request into which a foreign code was put (RFC 9700, section 4.8.2).
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

// seal makes an authorization code that is good once, for codeLifetime.
func (s *Server) seal(granted code) (string, error) {
	sealer, err := s.issuer.Sealer(codePrefix)
	if err != nil {
		return "", err
	}
	granted.ID, granted.Expires = uuid.NewString(), s.now().Add(codeLifetime).Unix()
	return sealer.Seal(granted)
}

// spent are the codes that were exchanged last. So many are not made in the time that a code
// is good for, unless somebody tries to.
type spent struct{ ids *lru.Cache[string, struct{}] }

const maxSpent = 1 << 12

func newSpent() spent {
	ids, err := lru.New[string, struct{}](maxSpent)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return spent{ids: ids}
}

// again tells whether a code was exchanged before, and remembers it.
func (s spent) again(granted code) bool {
	known, _ := s.ids.ContainsOrAdd(granted.ID, struct{}{})
	return known
}

// authorizationCode exchanges a code (RFC 6749, section 4.1.3). One that comes a second time
// may have been stolen, and takes back what the first was exchanged for.
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

// usable checks a code against the request that wants to exchange it.
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
