package grants

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"gcp-metadata-emulator/server/oauth2"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/signer"
)

// An assertion lives for an hour at the most, and Google's server lets the issuer's clock be
// five minutes ahead.
const (
	maxAssertionLifetime = time.Hour
	allowedSkew          = 5 * time.Minute
)

// The words of Google's server.
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
	notDelegated     = "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes requested."
	notAnAudienceEnd = " is not a valid audience string."
)

// grant is what an assertion entitles to: an ID token for an audience, or an access token
// for scopes.
type grant struct {
	account  *world.ServiceAccount
	audience string
	scopes   []string
}

// verifier verifies assertions (RFC 7523, section 3;
// https://developers.google.com/identity/protocols/oauth2/service-account#httprest).
type verifier struct {
	world     *world.World
	issuer    *token.Issuer
	now       time.Time
	audiences []string
}

// verify checks the assertion of a request: its structure, its signature, issuer, times,
// scope, audience and subject, in this order.
func (v verifier) verify(form url.Values) (grant, error) {
	parsed, err := signer.Parse(form.Get("assertion"))
	if err != nil {
		return grant{}, oauth2.NewError(oauth2.InvalidRequest, badRequest)
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
	return granted, v.checkSubject(account, parsed.Claims["sub"])
}

// signer is the account that issued an assertion and signed it.
func (v verifier) signer(parsed *signer.Parsed) (*world.ServiceAccount, error) {
	if !parsed.IsRS256() {
		return nil, oauth2.NewError(oauth2.InvalidGrant, badSignature)
	}
	issuer, _ := parsed.Claims["iss"].(string)
	account, ok := v.world.Account(issuer)
	if !ok || account.Disabled {
		return nil, oauth2.NewError(oauth2.InvalidGrant, accountNotFound)
	}
	signed, err := v.issuer.SignedBy(parsed, account)
	switch {
	case err != nil:
		return nil, err
	case !signed:
		return nil, oauth2.NewError(oauth2.InvalidGrant, badSignature)
	default:
		return account, nil
	}
}

func (v verifier) checkTimes(claims map[string]any) error {
	issuedAt, ok := seconds(claims["iat"])
	if !ok {
		return oauth2.NewError(oauth2.InvalidGrant, noIssuedAt)
	}
	expires, ok := seconds(claims["exp"])
	if !ok {
		return oauth2.NewError(oauth2.InvalidGrant, noExpiry)
	}
	lifetime := expires.Sub(issuedAt)
	if lifetime > maxAssertionLifetime || lifetime < 0 ||
		issuedAt.After(v.now.Add(allowedSkew)) || expires.Before(v.now.Truncate(time.Second)) {
		return oauth2.NewError(oauth2.InvalidGrant, badTimeframe)
	}
	return nil
}

// seconds reads a NumericDate (RFC 7519, section 2), or one in a string of digits.
func seconds(claim any) (time.Time, bool) {
	var text string
	switch claim := claim.(type) {
	case json.Number:
		text = claim.String()
	case string:
		text = claim
	default:
		return time.Time{}, false
	}
	const year9999 = 253402300799
	value, err := strconv.ParseFloat(text, 64)
	if err != nil || value < 0 || value > year9999 {
		return time.Time{}, false
	}
	return time.Unix(int64(value), 0), true
}

// requested is what the claims ask for: target_audience for an ID token, or scope. A
// scope that is none of Google's is taken for an audience.
func requested(account *world.ServiceAccount, claims map[string]any, form url.Values) (grant, error) {
	if audience, _ := claims["target_audience"].(string); audience != "" {
		return grant{account: account, audience: audience}, nil
	}
	scope, _ := claims["scope"].(string)
	scopes := strings.Fields(scope)
	if len(scopes) == 0 {
		return grant{}, oauth2.NewError(oauth2.InvalidScope, noScope)
	}
	if form.Get("scope") != "" {
		return grant{}, oauth2.NewError(oauth2.InvalidScope, scopeInForm)
	}
	unknown := slices.IndexFunc(scopes, func(scope string) bool { return !oauth2.IsScope(scope) })
	switch {
	case unknown < 0:
		return grant{account: account, scopes: scopes}, nil
	case len(scopes) == 1:
		return grant{account: account, audience: scopes[0]}, nil
	default:
		return grant{}, oauth2.NewError(oauth2.InvalidScope, scopes[unknown]+notAnAudienceEnd)
	}
}

// checkAudience accepts one of the known audiences, alone or as the only one of a list.
func (v verifier) checkAudience(claim any) error {
	if several, ok := claim.([]any); ok && len(several) == 1 {
		claim = several[0]
	}
	if audience, ok := claim.(string); ok && slices.Contains(v.audiences, audience) {
		return nil
	}
	return oauth2.NewError(oauth2.InvalidGrant, badAudience)
}

// checkSubject accepts the account itself. To act for a user takes domain-wide delegation,
// which nobody has.
func (v verifier) checkSubject(account *world.ServiceAccount, claim any) error {
	subject, isText := claim.(string)
	if claim != nil && !isText {
		return oauth2.NewError(oauth2.InvalidGrant, unknownSubject)
	}
	if subject == "" || strings.EqualFold(subject, account.Email) || subject == account.UniqueID {
		return nil
	}
	if !slices.ContainsFunc(v.world.Users, func(user *world.User) bool { return strings.EqualFold(user.Email, subject) }) {
		return oauth2.NewError(oauth2.InvalidGrant, unknownSubject)
	}
	refused := oauth2.NewError(oauth2.UnauthorizedClient, notDelegated)
	refused.Status = http.StatusUnauthorized
	return refused
}
