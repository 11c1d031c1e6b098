package oauth2

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/signer"
)

// Error texts of Google's server.
const (
	badRequest       = "Bad Request"
	badSignature     = "Invalid JWT Signature."
	accountNotFound  = "Invalid grant: account not found"
	noIssuedAt       = "Invalid JWT: iat (issued at) is not set."
	noExpiry         = "Invalid JWT: exp (expiration time) is not set."
	badTimeframe     = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim."
	noScope          = "Invalid OAuth scope or ID token audience provided."
	badAudience      = "Invalid JWT: Failed audience check."
	scopeInForm      = "Invalid downscoping, scopes should not be specified as a request parameter."
	unknownSubject   = "Invalid email or User ID"
	noEmail          = "Not a valid email"
	notDelegated     = "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes requested."
	notAnAudienceEnd = " is not a valid audience string."
)

// assertion exchanges an assertion under the older grant type "assertion". Service accounts that
// sign through the IAM API still use it to get a token for a user.
func (s *Server) assertion(r *http.Request, form url.Values) (wire.Response, error) {
	if form.Get("assertion_type") != oauthapi.AssertionTypeJWT {
		return wire.Response{}, oauthapi.NewError(oauthapi.InvalidRequest, badRequest).
			Because("assertion_type is %q, and not %q", form.Get("assertion_type"), oauthapi.AssertionTypeJWT)
	}
	return s.jwtBearer(r, form)
}

// jwtBearer exchanges an assertion under RFC 7523's grant type for an access token or an ID
// token.
func (s *Server) jwtBearer(r *http.Request, form url.Values) (wire.Response, error) {
	verifier := verifier{world: s.worlds.Load().State, issuer: s.issuer, now: s.now(), isOurs: func(audience string) bool { return s.isOwnURL(r.Host, audience) }}
	granted, err := verifier.verify(form)
	if err != nil {
		return wire.Response{}, err
	}
	if granted.audience != "" {
		return s.accountIDToken(r.Context(), granted)
	}
	entitled := token.ForAccount(granted.account, granted.scopes)
	if granted.user != nil {
		entitled.Principal, entitled.Client = granted.user.Principal(), granted.account.UniqueID
	}
	issued, err := s.issuer.Access(r.Context(), entitled, world.DefaultTokenLifetime)
	if err != nil {
		return wire.Response{}, fmt.Errorf("issue an access token for %q: %w", entitled.Principal.Email, err)
	}
	return tokens{AccessToken: issued.Text, ExpiresIn: expiresIn, TokenType: oauthapi.TokenTypeBearer, defective: issued.IsDefective()}.response(), nil
}

// accountIDToken answers with an ID token. Its authorized party is the account's e-mail address;
// the metadata server puts the unique ID there instead.
func (s *Server) accountIDToken(ctx context.Context, granted grant) (wire.Response, error) {
	issued, err := s.issuer.ID(ctx, token.Claims{
		Audience:        granted.audience,
		AuthorizedParty: granted.account.Email,
		Subject:         granted.account.UniqueID,
		Email:           granted.account.Email,
	})
	if err != nil {
		return wire.Response{}, fmt.Errorf("issue an ID token for %q: %w", granted.account.Email, err)
	}
	response := oauthapi.JSON(struct {
		IDToken string `json:"id_token"`
	}{issued.Text})
	response.Defective = issued.IsDefective()
	return response, nil
}

// grant holds the result of a valid assertion: either an audience for an ID token, or scopes for
// an access token. If user is set, the access token speaks for that user.
type grant struct {
	account  *world.ServiceAccount
	user     *world.User
	audience string
	scopes   []string
}

// verifier verifies assertions as RFC 7523, section 3, and Google require
// (https://developers.google.com/identity/protocols/oauth2/service-account#httprest).
type verifier struct {
	world  *world.World
	issuer *token.Issuer
	now    time.Time
	isOurs func(audience string) bool // whether an audience is this token endpoint
}

// verify checks the assertion in form and returns its grant. It checks the structure, issuer,
// signature, times, scope, audience and subject, in this order.
func (v verifier) verify(form url.Values) (grant, error) {
	parsed, err := signer.ParseAssertion(form.Get("assertion"))
	if err != nil {
		return grant{}, oauthapi.NewError(oauthapi.InvalidRequest, badRequest).Because("the assertion is not a JWT: %v", err)
	}
	account, err := v.signer(parsed)
	if err != nil {
		return grant{}, err
	}
	if err := v.checkTimes(parsed.Claims); err != nil {
		return grant{}, err
	}
	granted, err := requested(account, parsed.Claims, form)
	if err != nil {
		return grant{}, err
	}
	if err := v.checkAudience(parsed.Claims["aud"]); err != nil {
		return grant{}, err
	}
	granted.user, err = v.subject(granted, parsed)
	return granted, err
}

// signer returns the account that issued and signed the assertion.
func (v verifier) signer(parsed *signer.Parsed) (*world.ServiceAccount, error) {
	if !parsed.IsRS256() {
		return nil, oauthapi.NewError(oauthapi.InvalidGrant, badSignature).
			Because("the assertion is signed with %q, and not with RS256", fmt.Sprint(parsed.Header["alg"]))
	}
	issuer, _ := parsed.Claims["iss"].(string)
	account, ok := v.world.Account(issuer)
	switch {
	case !ok:
		return nil, oauthapi.NewError(oauthapi.InvalidGrant, accountNotFound).Because("the fixture has no account %q, which the assertion names as its issuer", issuer)
	case account.Disabled:
		return nil, oauthapi.NewError(oauthapi.InvalidGrant, accountNotFound).Because("service account %q is disabled", account.Email)
	}
	signed, err := v.issuer.SignedBy(parsed, account)
	switch {
	case err != nil:
		return nil, err
	case !signed:
		return nil, oauthapi.NewError(oauthapi.InvalidGrant, badSignature).
			Because("no key of %q that is valid now has signed the assertion, which names key ID %q", account.Email, parsed.KeyID())
	default:
		return account, nil
	}
}

func (v verifier) checkTimes(claims map[string]any) error {
	issuedAt, ok := seconds(claims["iat"])
	if !ok {
		return oauthapi.NewError(oauthapi.InvalidGrant, noIssuedAt)
	}
	expires, ok := seconds(claims["exp"])
	if !ok {
		return oauthapi.NewError(oauthapi.InvalidGrant, noExpiry)
	}
	begins := issuedAt
	if claims["nbf"] != nil {
		begins, ok = seconds(claims["nbf"])
	}
	if !ok || begins.After(v.now.Add(token.AllowedSkew)) || !token.IsShortLived(issuedAt, expires, v.now) {
		return oauthapi.NewError(oauthapi.InvalidGrant, badTimeframe)
	}
	return nil
}

// seconds reads a NumericDate (RFC 7519, section 2), given as a number or as a string of digits.
func seconds(claim any) (time.Time, bool) {
	switch claim := claim.(type) {
	case json.Number:
		return signer.NumericDate(claim)
	case string:
		return signer.NumericDate(json.Number(claim))
	default:
		return time.Time{}, false
	}
}

// requested returns the grant for the claims: an ID token if target_audience is set, otherwise an
// access token for scope. If Google does not define a single scope, it counts as an audience.
func requested(account *world.ServiceAccount, claims map[string]any, form url.Values) (grant, error) {
	if audience, _ := claims["target_audience"].(string); audience != "" {
		return grant{account: account, audience: audience}, nil
	}
	scope, _ := claims["scope"].(string)
	scopes := strings.Fields(scope)
	if len(scopes) == 0 {
		return grant{}, oauthapi.NewError(oauthapi.InvalidScope, noScope)
	}
	if form.Get("scope") != "" {
		return grant{}, oauthapi.NewError(oauthapi.InvalidScope, scopeInForm)
	}
	unknown := slices.IndexFunc(scopes, func(scope string) bool { return !oauthapi.IsScope(scope) })
	switch {
	case unknown < 0:
		return grant{account: account, scopes: scopes}, nil
	case len(scopes) == 1:
		return grant{account: account, audience: scopes[0]}, nil
	default:
		return grant{}, oauthapi.NewError(oauthapi.InvalidScope, scopes[unknown]+notAnAudienceEnd)
	}
}

// checkAudience accepts a URL of this token endpoint, given as a string or as a list of one element.
func (v verifier) checkAudience(claim any) error {
	if several, ok := claim.([]any); ok && len(several) == 1 {
		claim = several[0]
	}
	if audience, ok := claim.(string); ok && v.isOurs(audience) {
		return nil
	}
	return oauthapi.NewError(oauthapi.InvalidGrant, badAudience).Because("the assertion is for %q, and not for this token endpoint", fmt.Sprint(claim))
}

// subject returns the user for whom the account wants to act, or nil if the account acts for
// itself. Acting for a user needs domain-wide delegation of every scope
// (https://developers.google.com/identity/protocols/oauth2/service-account#delegatingauthority).
func (v verifier) subject(granted grant, parsed *signer.Parsed) (*world.User, error) {
	name := "sub"
	if !parsed.Has(name) {
		name = "prn" // the claim's name in the drafts of RFC 7523
	}
	subject, isText := parsed.Claims[name].(string)
	isItself := strings.EqualFold(subject, granted.account.Email) || subject == granted.account.UniqueID
	if !parsed.Has(name) || isItself {
		return nil, nil
	}
	user, ok := v.world.User(subject)
	switch {
	case !ok && isText && !strings.Contains(subject, "@") && !world.IsUniqueID(subject):
		return nil, oauthapi.NewError(oauthapi.InvalidGrant, noEmail)
	case !ok:
		return nil, oauthapi.NewError(oauthapi.InvalidGrant, unknownSubject)
	case !granted.account.ActsForUsers(granted.scopes):
		return nil, oauthapi.Unauthorized(oauthapi.UnauthorizedClient, notDelegated)
	default:
		return user, nil
	}
}
