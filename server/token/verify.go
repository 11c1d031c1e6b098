package token

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/world"
)

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
