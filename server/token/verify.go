package token

import (
	"context"
	"crypto"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gcp-metadata-emulator/server/accountkeys"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/signer"
)

// Kind is the kind of a token.
type Kind string

// The kinds of token.
const (
	KindAccess  Kind = "access"
	KindRefresh Kind = "refresh"
	KindID      Kind = "id"  // signed by Google
	KindJWT     Kind = "jwt" // signed by a service account
	KindIAP     Kind = "iap" // an assertion of Identity-Aware Proxy

	KindFirebase        Kind = "firebase"         // an ID token of Firebase
	KindFirebaseSession Kind = "firebase-session" // a session cookie of Firebase
	KindFirebaseCustom  Kind = "firebase-custom"  // signed by a service account, to sign in to Firebase
)

// Kinds returns all kinds of token.
func Kinds() []Kind {
	return []Kind{KindAccess, KindRefresh, KindID, KindJWT, KindIAP, KindFirebase, KindFirebaseSession, KindFirebaseCustom}
}

// Verified holds the content of a valid token.
type Verified struct {
	Kind      Kind
	Principal iam.Principal
	Scopes    []string
	Boundary  json.RawMessage // the access boundary of a downscoped token
	Claims    map[string]any  // of a JWT; the caller must not change them
	Expires   time.Time       // zero if the token does not expire
}

// Demand holds what the caller requires of a token, besides being valid. An empty field requires
// nothing.
type Demand struct {
	Audience string
	// AnyAudience says that the caller checks the audience itself.
	AnyAudience bool
	Email       string // the token must name this address as verified
}

// RefusedError gives the reason, in one sentence, why a token is not valid.
type RefusedError struct {
	Reason     string
	UnknownKey bool // the emulator has not published a key with the ID that the token names
}

func (e *RefusedError) Error() string { return e.Reason }

func refused(format string, arguments ...any) error {
	return &RefusedError{Reason: fmt.Sprintf(format, arguments...)}
}

// Verify reads a token of any kind that an emulator with the same keys issued, or that one of its
// service accounts signed. The error is a *RefusedError or a failure to read the keys.
func (i *Issuer) Verify(ctx context.Context, w *world.World, text string, demand Demand) (Verified, error) {
	var verified Verified
	var err error
	switch {
	case IsAccess(text):
		verified, err = i.verifyAccess(text, demand)
	case IsRefresh(text):
		verified, err = i.verifyRefresh(text, demand)
	default:
		verified, err = i.verifyJWT(ctx, w, text, demand)
	}
	if err != nil || verified.Kind.IsFirebase() { // Firebase's users are not in the fixture
		return verified, err
	}
	return verified, checkActive(w, verified.Principal)
}

func (i *Issuer) verifyAccess(text string, demand Demand) (Verified, error) {
	access, err := i.Recognise(text)
	switch {
	case errors.Is(err, ErrUnknown):
		return Verified{}, refused("the access token was not issued by this emulator, or was changed afterwards")
	case errors.Is(err, ErrExpired) && i.isYetToCome(access):
		return Verified{}, i.early(time.Unix(access.IssuedAt, 0))
	case errors.Is(err, ErrExpired):
		return Verified{}, i.expired(time.Unix(access.Expires, 0))
	case errors.Is(err, ErrRevoked):
		return Verified{}, refused("the access token was revoked")
	case err != nil:
		return Verified{}, err
	}
	return Verified{
		Kind: KindAccess, Principal: access.Principal, Scopes: access.Scopes, Boundary: access.Boundary, Expires: time.Unix(access.Expires, 0),
	}, opaque(access.Principal, "an access token", demand)
}

func (i *Issuer) verifyRefresh(text string, demand Demand) (Verified, error) {
	refresh, err := i.RecogniseRefresh(text)
	switch {
	case errors.Is(err, ErrUnknown):
		return Verified{}, refused("the refresh token was not issued by this emulator, or was changed afterwards")
	case errors.Is(err, ErrRevoked):
		return Verified{}, refused("the refresh token was revoked")
	case err != nil:
		return Verified{}, err
	}
	return Verified{Kind: KindRefresh, Principal: refresh.Principal, Scopes: refresh.Scopes}, opaque(refresh.Principal, "a refresh token", demand)
}

// VerifyOpenID verifies an ID token as a program does that only has the published keys: its
// signature, issuer, times and, unless the given audience is empty, its audience. The error is a *RefusedError or a
// failure to read the keys.
func (i *Issuer) VerifyOpenID(ctx context.Context, w *world.World, text, audience string) error {
	if IsAccess(text) || IsRefresh(text) {
		return refused("an access token or a refresh token is opaque: only Google can read it")
	}
	parsed, signedBy, err := i.signature(ctx, w, text)
	switch {
	case err != nil:
		return err
	case signedBy.kind == KindJWT:
		return refused("service account %q signed the token, and a verifier of ID tokens only has the keys of Google", signedBy.account.Email)
	case signedBy.kind != KindID:
		return refused("the token is of kind %q, and a verifier of ID tokens only has the keys of Google's ID tokens", signedBy.kind)
	case parsed.Claims["iss"] != IssuerURL:
		return refused("the issuer is %q, not %q", orNothing(parsed.Claims["iss"]), IssuerURL)
	}
	if _, err := i.checkTimes(parsed, KindID); err != nil {
		return err
	}
	if audiences := parsed.Audiences(); audience != "" && !slices.Contains(audiences, audience) {
		return refused("the token is for %q, not for %q", strings.Join(audiences, ", "), audience)
	}
	return nil
}

// opaque checks the demands on a token that clients cannot decode.
func opaque(who iam.Principal, what string, demand Demand) error {
	switch {
	case demand.Audience != "":
		return refused("%s has no audience, so it cannot be for %q", what, demand.Audience)
	case demand.Email != "" && !strings.EqualFold(demand.Email, who.Email):
		return refused("the token speaks for %q, not for %q", who.Member(), demand.Email)
	default:
		return nil
	}
}

// expired returns the refusal of a token that expired at the given time.
func (i *Issuer) expired(at time.Time) error {
	return refused("the token expired at %s, %s ago", at.UTC().Format(time.RFC3339), i.now().Sub(at).Truncate(time.Second))
}

// early returns the refusal of a token that is not valid before the given time.
func (i *Issuer) early(from time.Time) error {
	return refused("the token is not valid before %s, in %s", from.UTC().Format(time.RFC3339), from.Sub(i.now()).Truncate(time.Second))
}

func checkActive(w *world.World, who iam.Principal) error {
	if isActive(w, who) {
		return nil
	}
	if account, ok := w.Account(who.ID); ok && account.Disabled {
		return refused("service account %q is disabled", account.Email)
	}
	return refused("%q does not exist in the fixture, or is disabled", who.Member())
}

// authority is the signer of a JWT: Google, Identity-Aware Proxy, Firebase or a service account.
type authority struct {
	kind    Kind
	account *world.ServiceAccount // only for KindJWT
	key     crypto.PublicKey
}

// verifyJWT checks the form, algorithm, signature, issuer, times, audience and e-mail address of
// a JWT, in this order.
func (i *Issuer) verifyJWT(ctx context.Context, w *world.World, text string, demand Demand) (Verified, error) {
	parsed, signedBy, err := i.signature(ctx, w, text)
	if err != nil {
		return Verified{}, err
	}
	if i.IsRevoked(parsed) {
		return Verified{}, refused("the token was revoked")
	}
	verified := Verified{Kind: signedBy.kind, Claims: parsed.Claims}
	if verified.Kind == KindJWT {
		scope, _ := parsed.Claims["scope"].(string)
		verified.Scopes = iam.CanonicalScopes(strings.Fields(scope))
	}
	if verified.Kind == KindJWT && isCustom(parsed) {
		verified.Kind = KindFirebaseCustom
	}
	if verified.Principal, err = signedBy.principal(w, parsed); err != nil {
		return Verified{}, err
	}
	if verified.Expires, err = i.checkTimes(parsed, verified.Kind); err != nil {
		return Verified{}, err
	}
	if verified.Kind == KindFirebaseCustom {
		err = checkCustom(parsed, signedBy.account)
	}
	if err != nil {
		return Verified{}, err
	}
	return verified, checkDemand(parsed, verified, demand)
}

func checkAlgorithm(parsed *signer.Parsed) error {
	algorithm, _ := parsed.Header["alg"].(string)
	switch {
	case strings.EqualFold(algorithm, "none") || algorithm == "":
		return refused("the token is not signed: its header says alg %q", algorithm)
	case !parsed.IsRS256() && algorithm != "ES256": // the algorithm of Identity-Aware Proxy
		return refused("the token is signed with %q, but only RS256 and ES256 are accepted", algorithm)
	default:
		return nil
	}
}

// authority finds the key that a token names, among Google's keys, those of Firebase and the keys of the service
// account that issued it. If the issuer is neither an account nor Google, the keys of all
// accounts count, because signJwt also signs such payloads.
func (i *Issuer) authority(ctx context.Context, w *world.World, parsed *signer.Parsed) (authority, error) {
	if !parsed.IsRS256() {
		return i.proxyAuthority(parsed)
	}
	if key, ok, err := i.GoogleKey(ctx, parsed.KeyID()); err != nil || ok {
		return authority{kind: KindID, key: key}, err
	}
	if found, ok, err := i.firebaseAuthority(parsed); err != nil || ok {
		return found, err
	}
	issuer, _ := parsed.Claims["iss"].(string)
	accounts := w.Accounts
	if account, ok := w.Account(issuer); ok {
		accounts = []*world.ServiceAccount{account}
	} else if issuer == IssuerURL {
		accounts = nil
	}
	for _, account := range accounts {
		if key, err := i.keyOf(account, parsed); err != nil || key != nil {
			return authority{KindJWT, account, key}, err
		}
	}
	return authority{}, unpublished(parsed)
}

// keyOf returns the account's key that signed the token, or nil. A key ID in the header must
// match, except for uploaded keys, because their owners may use other key IDs.
func (i *Issuer) keyOf(account *world.ServiceAccount, parsed *signer.Parsed) (*rsa.PublicKey, error) {
	usable, err := accountkeys.Usable(i.keys, account)
	if err != nil {
		return nil, err
	}
	for _, key := range usable {
		if key.ID() == parsed.KeyID() || (key.Uploaded || parsed.KeyID() == "") && parsed.SignedBy(key.Public()) {
			return key.Public(), nil
		}
	}
	return nil, nil //nolint:nilnil // nil means that there is no such key
}

func unpublished(parsed *signer.Parsed) error {
	return &RefusedError{
		Reason:     fmt.Sprintf("the token names key ID %q, but this emulator has not published a key with that ID", parsed.KeyID()),
		UnknownKey: true,
	}
}

// proxyAuthority returns Identity-Aware Proxy as authority if the token names its key.
func (i *Issuer) proxyAuthority(parsed *signer.Parsed) (authority, error) {
	key, err := i.keys.IAP()
	switch {
	case err != nil:
		return authority{}, err
	case key.ID() != parsed.KeyID():
		return authority{}, unpublished(parsed)
	default:
		return authority{kind: KindIAP, key: key.Public()}, nil
	}
}

// principal returns the token's principal, and checks that the token's issuer is also its signer.
func (a authority) principal(w *world.World, parsed *signer.Parsed) (iam.Principal, error) {
	issuer := parsed.Claims["iss"]
	if a.kind == KindJWT {
		text, _ := issuer.(string)
		if account, ok := w.Account(text); parsed.Has("iss") && (!ok || account != a.account) {
			return iam.Principal{}, refused("the issuer is %q, but the token is signed with a key of %q", fmt.Sprint(issuer), a.account.Email)
		}
		return a.account.Principal(), nil
	}
	if a.kind.IsFirebase() {
		return firebasePrincipal(a.kind, parsed)
	}
	want, prefix := IssuerURL, ""
	if a.kind == KindIAP {
		want, prefix = IAPIssuer, iapSubject
	}
	if issuer != want {
		return iam.Principal{}, refused("the issuer is %q, not %q", orNothing(issuer), want)
	}
	subject, _ := parsed.Claims["sub"].(string)
	subject = strings.TrimPrefix(subject, prefix)
	if who, ok := w.Principal(subject); ok {
		return who, nil
	}
	return iam.Principal{}, refused("the subject is %q, but no account or user has that ID", subject)
}

func orNothing(claim any) string {
	if claim == nil {
		return ""
	}
	return fmt.Sprint(claim)
}

// checkTimes checks the times of a JWT and returns its expiry. Only a JWT of a service account
// may have no expiry. Google's ID tokens are checked without clock skew.
func (i *Issuer) checkTimes(parsed *signer.Parsed, kind Kind) (time.Time, error) {
	now, skew := i.now(), time.Duration(0)
	if kind == KindJWT || kind == KindFirebaseCustom {
		skew = AllowedSkew
	}
	names := []string{"nbf", "iat", "exp"}
	if kind.IsFirebase() {
		names = append(names, "auth_time")
	}
	for _, name := range names {
		from, ok := parsed.Time(name)
		switch claim, named := parsed.Claims[name]; {
		case named && !ok:
			return time.Time{}, refused("the claim %s is not a time in seconds since 1970: %v", name, claim)
		case name != "exp" && from.After(now.Add(skew)):
			return time.Time{}, i.early(from)
		}
	}
	expires, ends := parsed.Time("exp")
	if !ends {
		if kind != KindJWT {
			return time.Time{}, refused("the token does not say when it expires")
		}
		return time.Time{}, nil
	}
	if !now.Before(expires) {
		return time.Time{}, i.expired(expires)
	}
	return expires, nil
}

// checkDemand checks the audience and the e-mail address of a JWT. An unverified address is
// refused even without a demand, because only Firebase issues such tokens.
func checkDemand(parsed *signer.Parsed, verified Verified, demand Demand) error {
	audiences := parsed.Audiences()
	if demand.Audience != "" && !slices.Contains(audiences, demand.Audience) {
		return refused("the token is for %q, not for %q", strings.Join(audiences, ", "), demand.Audience)
	}
	if demand.Audience == "" && !demand.AnyAudience && slices.Contains(audiences, WrongAudienceURL) {
		return refused("the token's audience is %q, a placeholder that matches no service", WrongAudienceURL)
	}
	email, _ := parsed.Claims["email"].(string)
	named := email != ""
	proof, verifies := parsed.Claims["email_verified"]
	mayBeUnverified := verified.Kind.IsFirebase() && demand.Email == ""
	if (verifies || named && verified.Kind == KindID) && !mayBeUnverified && proof != true {
		return refused("the token does not say that the e-mail address %q is verified", email)
	}
	switch {
	case verified.Kind == KindJWT, verified.Kind == KindFirebaseCustom:
		return opaque(verified.Principal, "the token", Demand{Email: demand.Email})
	case !named && alwaysNamesEmail(parsed, verified.Kind):
		return refused("the token has no e-mail address, but all tokens of its kind have one")
	case !named && demand.Email != "":
		return refused("the token has no e-mail address, so it cannot be shown to be for %q", demand.Email)
	case demand.Email != "" && !strings.EqualFold(email, demand.Email):
		return refused("the token is for the e-mail address %q, not %q", email, demand.Email)
	default:
		return nil
	}
}

// alwaysNamesEmail reports whether Google issues such tokens only with an e-mail address:
// assertions of Identity-Aware Proxy, and ID tokens that describe a VM.
func alwaysNamesEmail(parsed *signer.Parsed, kind Kind) bool {
	google, _ := parsed.Claims["google"].(map[string]any)
	_, tellsOfVM := google["compute_engine"]
	return kind == KindIAP || tellsOfVM
}
