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

// Kind is what a token is for.
type Kind string

// The kinds of token.
const (
	KindAccess  Kind = "access"
	KindRefresh Kind = "refresh"
	KindID      Kind = "id"  // signed by Google
	KindJWT     Kind = "jwt" // signed by a service account
	KindIAP     Kind = "iap" // an assertion of Identity-Aware Proxy
)

// Verified is what a good token says.
type Verified struct {
	Kind      Kind
	Principal iam.Principal
	Scopes    []string
	Boundary  json.RawMessage // the access boundary of a downscoped token
	Claims    map[string]any  // of a JWT
	Expires   time.Time       // zero: it does not
}

// Demand is what a token has to be besides good. Empty fields demand nothing.
type Demand struct {
	Audience string
	Email    string // which the token has to name, and to call verified
}

// RefusedError says in one sentence why a token is not good.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return e.Reason }

func refused(format string, arguments ...any) error {
	return &RefusedError{fmt.Sprintf(format, arguments...)}
}

// Verify reads a token of any kind that an emulator with the same keys has issued, or that
// one of its service accounts has signed. The error is a *RefusedError, or says why the keys
// cannot be read.
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
	if err != nil {
		return Verified{}, err
	}
	return verified, checkActive(w, verified.Principal)
}

func (i *Issuer) verifyAccess(text string, demand Demand) (Verified, error) {
	access, err := i.Recognise(text)
	switch {
	case errors.Is(err, ErrUnknown):
		return Verified{}, refused("the access token was not issued by this emulator, or was changed since")
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
		return Verified{}, refused("the refresh token was not issued by this emulator, or was changed since")
	case errors.Is(err, ErrRevoked):
		return Verified{}, refused("the refresh token was revoked")
	case err != nil:
		return Verified{}, err
	}
	return Verified{Kind: KindRefresh, Principal: refresh.Principal, Scopes: refresh.Scopes}, opaque(refresh.Principal, "a refresh token", demand)
}

// opaque checks the demands on a token that clients cannot read.
func opaque(who iam.Principal, what string, demand Demand) error {
	switch {
	case demand.Audience != "":
		return refused("%s has no audience, and so is not for %q", what, demand.Audience)
	case demand.Email != "" && !strings.EqualFold(demand.Email, who.Email):
		return refused("the token speaks for %q, not for %q", who.Member(), demand.Email)
	default:
		return nil
	}
}

// expired tells when a token was good.
func (i *Issuer) expired(at time.Time) error {
	return refused("the token expired at %s, %s ago", at.UTC().Format(time.RFC3339), i.now().Sub(at).Truncate(time.Second))
}

// early tells when a token will be good.
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
	return refused("%q does not exist in this world, or is disabled", who.Member())
}

// authority is who has signed a JWT, with what: Google, Identity-Aware Proxy, or a service
// account.
type authority struct {
	kind    Kind
	account *world.ServiceAccount // of a KindJWT
	key     crypto.PublicKey
}

// verifyJWT checks a JWT's form, signature, issuer, times, audience and e-mail address, in
// this order.
func (i *Issuer) verifyJWT(ctx context.Context, w *world.World, text string, demand Demand) (Verified, error) {
	parsed, err := signer.Parse(text)
	if err != nil && strings.Count(text, ".") == 2 {
		return Verified{}, refused("the JSON Web Token cannot be decoded: it was cut off or changed")
	}
	if err != nil {
		return Verified{}, refused("it is neither an access token nor a refresh token nor a JSON Web Token")
	}
	if err := checkAlgorithm(parsed); err != nil {
		return Verified{}, err
	}
	signedBy, err := i.authority(ctx, w, parsed)
	if err != nil {
		return Verified{}, err
	}
	if !parsed.SignedByForeign(signedBy.key) {
		return Verified{}, refused("the signature is not that of key %q: the token was changed after it was signed", parsed.KeyID())
	}
	if i.IsRevoked(parsed) {
		return Verified{}, refused("the token was revoked")
	}
	verified := Verified{Kind: signedBy.kind, Claims: parsed.Claims}
	if verified.Kind == KindJWT {
		scope, _ := parsed.Claims["scope"].(string)
		verified.Scopes = strings.Fields(scope)
	}
	if verified.Principal, err = signedBy.principal(w, parsed); err != nil {
		return Verified{}, err
	}
	if verified.Expires, err = i.checkTimes(parsed, verified.Kind); err != nil {
		return Verified{}, err
	}
	return verified, checkDemand(parsed, verified, demand)
}

func checkAlgorithm(parsed *signer.Parsed) error {
	algorithm, _ := parsed.Header["alg"].(string)
	switch {
	case strings.EqualFold(algorithm, "none") || algorithm == "":
		return refused("the token is not signed: its header says alg %q", algorithm)
	case !parsed.IsRS256() && algorithm != "ES256": // with which Identity-Aware Proxy signs
		return refused("the token is signed with %q, where only RS256 and ES256 are accepted", algorithm)
	default:
		return nil
	}
}

// authority finds the key that a token names, among Google's and those of the service account
// that is its issuer. What names no account as its issuer, as signJwt signs it too, may be of
// any of them.
func (i *Issuer) authority(ctx context.Context, w *world.World, parsed *signer.Parsed) (authority, error) {
	if !parsed.IsRS256() {
		return i.proxyAuthority(parsed)
	}
	if key, ok, err := i.GoogleKey(ctx, parsed.KeyID()); err != nil || ok {
		return authority{kind: KindID, key: key}, err
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

// keyOf is the key of an account that a token names. Where it names none, and of keys from
// elsewhere, whose owners may call them otherwise, it is the one that it has been signed with.
// It is nil if there is none.
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
	return nil, nil //nolint:nilnil // no key is no mistake
}

func unpublished(parsed *signer.Parsed) error {
	return refused("nobody here has published a key with the ID %q, with which the token says it is signed", parsed.KeyID())
}

// proxyAuthority is Identity-Aware Proxy, if the token names its key.
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

// principal is whom a token speaks for, if its issuer is the one who has signed it.
func (a authority) principal(w *world.World, parsed *signer.Parsed) (iam.Principal, error) {
	issuer, named := parsed.Claims["iss"]
	if a.kind == KindJWT {
		text, _ := issuer.(string)
		if account, ok := w.Account(text); named && (!ok || account != a.account) {
			return iam.Principal{}, refused("the issuer is %q, but the token is signed with a key of %q", fmt.Sprint(issuer), a.account.Email)
		}
		return a.account.Principal(), nil
	}
	want, prefix := IssuerURL, ""
	if a.kind == KindIAP {
		want, prefix = iapIssuer, iapSubject
	}
	if issuer != want {
		return iam.Principal{}, refused("the issuer is %q, not %q", orNothing(issuer), want)
	}
	subject, _ := parsed.Claims["sub"].(string)
	subject = strings.TrimPrefix(subject, prefix)
	if who, ok := w.Principal(subject); ok {
		return who, nil
	}
	return iam.Principal{}, refused("the subject is %q, and there is no account or user with that ID", subject)
}

func orNothing(claim any) string {
	if claim == nil {
		return ""
	}
	return fmt.Sprint(claim)
}

// checkTimes returns when a token expires, which only one that a service account has signed
// need not. Verifiers of Google's ID tokens allow no skew.
func (i *Issuer) checkTimes(parsed *signer.Parsed, kind Kind) (time.Time, error) {
	now, skew := i.now(), time.Duration(0)
	if kind == KindJWT {
		skew = AllowedSkew
	}
	for _, name := range []string{"nbf", "iat", "exp"} {
		from, ok := parsed.Time(name)
		switch claim, named := parsed.Claims[name]; {
		case named && !ok:
			return time.Time{}, refused("the claim %s is no time in seconds since 1970: %v", name, claim)
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

// checkDemand checks the audience and the e-mail address of a JWT. An address that is not
// verified is refused whoever asks: none of Google's is.
func checkDemand(parsed *signer.Parsed, verified Verified, demand Demand) error {
	audiences := parsed.Audiences()
	if demand.Audience != "" && !slices.Contains(audiences, demand.Audience) {
		return refused("the token is for %q, not for %q", strings.Join(audiences, ", "), demand.Audience)
	}
	if demand.Audience == "" && slices.Contains(audiences, WrongAudienceURL) {
		return refused("the token is for %q, which nobody is", WrongAudienceURL)
	}
	email, named := parsed.Claims["email"].(string)
	proof, verifies := parsed.Claims["email_verified"]
	if (verifies || named && verified.Kind == KindID) && proof != true {
		return refused("the e-mail address %q is not verified", email)
	}
	switch {
	case verified.Kind == KindJWT:
		return opaque(verified.Principal, "the token", Demand{Email: demand.Email})
	case !named && alwaysNamesEmail(parsed, verified.Kind):
		return refused("the token names no e-mail address, as all of its kind do")
	case !named && demand.Email != "":
		return refused("the token names no e-mail address, so nobody knows that it is %q", demand.Email)
	case demand.Email != "" && !strings.EqualFold(email, demand.Email):
		return refused("the token is of %q, not of %q", email, demand.Email)
	default:
		return nil
	}
}

// alwaysNamesEmail tells of tokens that Google issues with an e-mail address alone: assertions of
// Identity-Aware Proxy, and ID tokens that tell of a VM.
func alwaysNamesEmail(parsed *signer.Parsed, kind Kind) bool {
	google, _ := parsed.Claims["google"].(map[string]any)
	_, tellsOfVM := google["compute_engine"]
	return kind == KindIAP || tellsOfVM
}
