package oauth2

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"time"

	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// codeForm returns the form of Google's authorization codes.
func codeForm() token.Form { return token.Form{Prefix: "4/0", Limit: token.MaxCode} }

// codeLifetime is the maximum lifetime that RFC 6749, section 4.1.2, recommends.
const codeLifetime = 10 * time.Minute

// Error texts of Google's server.
const (
	malformedCode    = "Malformed auth code."
	missingVerifier  = "Missing code verifier."
	invalidVerifier  = "Invalid code verifier."
	needlessVerifier = "code_verifier or verifier is not needed."
)

// code is the content of an authorization code. The server stores nothing for a code, unless it is
// too long. The client presents some values again when it exchanges the code; a code has digests of
// them.
type code struct {
	own    ownCode
	shared sharedCode
}

// ownCode is the part of a code that is different in every code.
type ownCode struct {
	_ struct{} `cbor:",toarray"`

	Session     string // each session has one code
	Client      digest
	RedirectURI digest
	Challenge   challenge
	Nonce       string // empty if it is in the shared part
	Expires     int64  // Unix seconds
}

// sharedCode is the part of a code that other codes may share.
type sharedCode struct {
	UserID  string       `cbor:"1,keyasint"`
	Scopes  token.Scopes `cbor:"2,keyasint"`
	Offline bool         `cbor:"3,keyasint,omitempty"`
	Nonce   string       `cbor:"4,keyasint,omitempty"`
}

// maxNonce is the length up to which a nonce fits into the own part.
const maxNonce = 64

// digest stands for a text that only has to be compared. It is empty for an empty text.
type digest []byte

func digestOf(text string) digest {
	const size = 12 // enough, because nobody can change or even read the digest
	if text == "" {
		return nil
	}
	sum := sha256.Sum256([]byte(text))
	return sum[:size]
}

// isOf reports whether d is the digest of text.
func (d digest) isOf(text string) bool { return subtle.ConstantTimeCompare(d, digestOf(text)) == 1 }

// challenge is a PKCE challenge for the client to answer (RFC 7636). If the client sent none, it
// has the zero value.
type challenge struct {
	_ struct{} `cbor:",toarray"`

	Text   digest
	IsS256 bool // otherwise the method is plain
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
	if c.IsS256 {
		sum := sha256.Sum256([]byte(verifier))
		answer = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	switch {
	case len(c.Text) == 0 && verifier == "":
		return nil
	case len(c.Text) == 0:
		return oauthapi.NewError(oauthapi.InvalidGrant, needlessVerifier)
	case verifier == "":
		return oauthapi.NewError(oauthapi.InvalidGrant, missingVerifier)
	case !c.Text.isOf(answer):
		return oauthapi.NewError(oauthapi.InvalidGrant, invalidVerifier)
	default:
		return nil
	}
}

// seal returns an authorization code for one use within codeLifetime.
func (s *Server) seal(granted token.Grant, redirectURI string, wanted authorization) (string, error) {
	own := ownCode{
		Session: granted.Session, Client: digestOf(granted.Client), RedirectURI: digestOf(redirectURI),
		Challenge: wanted.challenge, Nonce: wanted.nonce, Expires: s.now().Add(codeLifetime).Unix(),
	}
	shared := sharedCode{UserID: granted.Principal.ID, Scopes: granted.Scopes, Offline: granted.Offline}
	if len(own.Nonce) > maxNonce {
		own.Nonce, shared.Nonce = "", own.Nonce
	}
	return s.issuer.Seal(codeForm(), own, shared)
}

// RememberedCodes is the number of exchanged codes after which the emulator forgets the oldest. Codes
// as old as the forgotten codes then count as exchanged.
const RememberedCodes = 1 << 12

// authorizationCode exchanges a code (RFC 6749, section 4.1.3). A second use may be a theft, so
// it revokes the tokens that the first use got.
func (s *Server) authorizationCode(r *http.Request, form url.Values) (wire.Response, error) {
	current := s.worlds.Load().State
	client, err := authenticate(current, r, form)
	if err != nil {
		return wire.Response{}, err
	}
	user, granted, err := s.redeem(r.Context(), current, client.ID, form)
	if err != nil {
		return wire.Response{}, err
	}
	grant := token.Grant{
		Principal: user.Principal(), Scopes: granted.shared.Scopes, Client: client.ID,
		Offline: granted.shared.Offline, Session: granted.own.Session,
	}
	return s.issueFirst(r.Context(), current, grant, token.Claims{Nonce: cmp.Or(granted.own.Nonce, granted.shared.Nonce)})
}

// Redeem exchanges a code for the user who has signed in. It is for clients inside the emulator that
// need no tokens.
func (s *Server) Redeem(ctx context.Context, code, client, redirectURI string) (*world.User, error) {
	user, _, err := s.redeem(ctx, s.worlds.Load().State, client, url.Values{"code": {code}, "redirect_uri": {redirectURI}})
	return user, err
}

// redeem returns the user who granted a code, and the code. It takes every code once.
func (s *Server) redeem(ctx context.Context, w *world.World, client string, form url.Values) (*world.User, code, error) {
	granted, err := s.openCode(form.Get("code"))
	if err != nil {
		return nil, code{}, err
	}
	if err := granted.usable(client, form, s.now()); err != nil {
		return nil, code{}, err
	}
	if err := s.spend(ctx, granted); err != nil {
		return nil, code{}, err
	}
	user, ok := w.User(granted.shared.UserID)
	if !ok {
		return nil, code{}, oauthapi.NewError(oauthapi.InvalidGrant, accountDeleted)
	}
	return user, granted, nil
}

// spend records the exchange of a code. If the code was exchanged before, it revokes the tokens of
// that exchange, and the error is an *oauthapi.Error.
func (s *Server) spend(ctx context.Context, granted code) error {
	again, err := s.spent.Retire(ctx, granted.own.Session)
	if err != nil || !again {
		return err
	}
	if err := s.issuer.RevokeSession(ctx, granted.own.Session); err != nil {
		return err
	}
	return oauthapi.NewError(oauthapi.InvalidGrant, badRequest).
		Because("the code was exchanged before, or is older than the latest %d codes that were exchanged; its tokens are revoked now", RememberedCodes)
}

func (s *Server) openCode(text string) (code, error) {
	if text == "" {
		return code{}, oauthapi.Missing("code")
	}
	var granted code
	err := s.issuer.Open(codeForm(), text, &granted.own, &granted.shared)
	if errors.Is(err, token.ErrUnknown) {
		err = oauthapi.NewError(oauthapi.InvalidGrant, malformedCode)
	}
	return granted, err
}

// usable checks that the request may exchange the code.
func (c code) usable(client string, form url.Values, now time.Time) error {
	switch {
	case now.Unix() >= c.own.Expires:
		return oauthapi.NewError(oauthapi.InvalidGrant, badRequest).Because("the code expired at %s", time.Unix(c.own.Expires, 0).UTC().Format(time.RFC3339))
	case !c.own.Client.isOf(client):
		return oauthapi.NewError(oauthapi.InvalidGrant, badRequest).Because("the code was issued to another client than %q", client)
	case !c.own.RedirectURI.isOf(form.Get("redirect_uri")):
		return oauthapi.NewError(oauthapi.RedirectURIMismatch, badRequest).
			Because("the code was issued for another redirect URI than %q", form.Get("redirect_uri"))
	default:
		return c.own.Challenge.prove(form.Get("code_verifier"))
	}
}
