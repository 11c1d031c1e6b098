package token

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/signer"
)

// Order describes a token. The token is issued without a check of the caller's rights.
type Order struct {
	Kind      Kind           // any but KindRefresh and KindFirebaseCustom
	Principal iam.Principal  // not for a Firebase token
	Audience  string         // not for an access token or a Firebase token
	Scopes    []string       // for an access token or JWT; an access token defaults to iam.CloudPlatform
	Claims    map[string]any // override the usual claims; a nil value removes one; not for an access token
	Lifetime  time.Duration  // default: one hour, or ten minutes for an assertion of Identity-Aware Proxy
	Defect    Defect         // must be one of Kind.Defects; its claims override all others

	// User is the ID of a Firebase token's user, or the e-mail address of a user of the fixture.
	// Project is the token's project; the default is the fixture's.
	User, Project string

	// Instance, if set, is described in an ID token, as the metadata server does for format=full.
	Instance ComputeEngine
}

// OrderError gives the reason why an order is invalid.
type OrderError struct{ Reason string }

func (e *OrderError) Error() string { return e.Reason }

// Mint issues a token to order. The error is an *OrderError or a failure to use the keys.
func (i *Issuer) Mint(ctx context.Context, w *world.World, order Order) (Token, error) {
	if err := order.check(); err != nil {
		return Token{}, err
	}
	if order.Lifetime == 0 {
		order.Lifetime = world.DefaultTokenLifetime
		if order.Kind == KindIAP {
			order.Lifetime = iapLifetime
		}
	}
	if order.Kind == KindAccess && len(order.Scopes) == 0 {
		order.Scopes = []string{iam.CloudPlatform}
	}
	ctx = WithDefect(ctx, order.Defect)
	minted, err := i.mint(ctx, w, order)
	if err == nil && order.Defect != NoDefect && minted.Defect == NoDefect {
		return Token{}, &OrderError{fmt.Sprintf("defect %q changes nothing, because the token has no e-mail address", order.Defect)}
	}
	if issued, expires, shifted := order.Defect.period(i.now()); shifted {
		minted.Issued, minted.Expires = issued, expires
	}
	return minted, err
}

func (i *Issuer) mint(ctx context.Context, w *world.World, order Order) (Token, error) {
	switch order.Kind {
	case KindID:
		return i.mintID(ctx, order)
	case KindJWT:
		return i.mintJWT(ctx, w, order)
	case KindIAP:
		return i.mintIAP(ctx, order)
	case KindFirebase, KindFirebaseSession:
		return i.mintFirebase(ctx, w, order)
	case KindAccess, KindRefresh, KindFirebaseCustom:
	}
	return i.Access(ctx, Grant{Principal: order.Principal, Scopes: order.Scopes}, order.Lifetime)
}

// longestLifetime is the longest lifetime that an organisation policy may allow.
const longestLifetime = 12 * time.Hour

func (o Order) check() error {
	kinds := []Kind{KindAccess, KindID, KindJWT, KindIAP, KindFirebase, KindFirebaseSession}
	longest := longestLifetime
	if o.Kind == KindFirebaseSession {
		longest = maxSession
	}
	switch {
	case !slices.Contains(kinds, o.Kind):
		return &OrderError{fmt.Sprintf("unknown kind of token %q; use access, id, jwt, iap, firebase or firebase-session", o.Kind)}
	case o.Lifetime < 0 || o.Lifetime > longest || o.Lifetime%time.Second != 0:
		return &OrderError{fmt.Sprintf("lifetime %s is not a number of seconds up to %dh", o.Lifetime, int(longest.Hours()))}
	case !o.Kind.IsFirebase() && (o.User != "" || o.Project != ""):
		return &OrderError{"only a Firebase token has a user and a project"}
	}
	return cmp.Or(o.checkContent(), o.checkDefect())
}

func (o Order) checkContent() error {
	switch {
	case o.Kind.IsFirebase():
		return o.checkFirebase()
	case o.Kind == KindAccess && (o.Audience != "" || o.Claims != nil):
		return &OrderError{"an access token has neither an audience nor claims"}
	case o.Kind == KindID && len(o.Scopes) > 0:
		return &OrderError{"an ID token has no scopes"}
	case o.Kind == KindID && o.Audience == "":
		return &OrderError{"an ID token needs an audience"}
	case o.Kind == KindIAP && len(o.Scopes) > 0:
		return &OrderError{"an assertion of Identity-Aware Proxy has no scopes"}
	case o.Kind == KindIAP && o.Audience == "":
		return &OrderError{"an assertion of Identity-Aware Proxy needs an audience, such as /projects/NUMBER/apps/PROJECT"}
	default:
		return nil
	}
}

func (o Order) checkDefect() error {
	possible := o.Kind.Defects()
	switch {
	case o.Defect == NoDefect:
	case !slices.Contains(KindID.Defects(), o.Defect): // KindID can have every defect
		return &OrderError{fmt.Sprintf("unknown defect %q; use one of: %s", o.Defect, list(possible))}
	case !slices.Contains(possible, o.Defect):
		return &OrderError{fmt.Sprintf("a token of kind %q cannot have defect %q; use one of: %s", o.Kind, o.Defect, list(possible))}
	}
	return nil
}

func list(defects []Defect) string {
	texts := make([]string, len(defects))
	for i, defect := range defects {
		texts[i] = string(defect)
	}
	return strings.Join(texts, ", ")
}

// mintID issues an ID token like the metadata server's, with the order's claims on top.
func (i *Issuer) mintID(ctx context.Context, order Order) (Token, error) {
	key, err := i.keys.Google().Active(ctx)
	if err != nil {
		return Token{}, err
	}
	issued, expires := i.period(order.Lifetime)
	claims, err := merged(signedClaims{
		Audience:        order.Audience,
		AuthorizedParty: order.Principal.ID,
		Email:           order.Principal.Email,
		EmailVerified:   true,
		Expires:         expires.Unix(),
		Google:          Google{ComputeEngine: order.Instance},
		IssuedAt:        issued.Unix(),
		Issuer:          IssuerURL,
		Subject:         order.Principal.ID,
	}, order.Claims)
	if err != nil {
		return Token{}, err
	}
	return i.signed(ctx, KindID, signer.RSA(key), claims, Token{Issued: issued, Expires: expires})
}

// mintJWT issues a JWT that a service account signs with the key of its key file. With it a
// client calls an API without requesting an access token (https://google.aip.dev/auth/4111).
func (i *Issuer) mintJWT(ctx context.Context, w *world.World, order Order) (Token, error) {
	account, ok := w.Account(order.Principal.ID)
	if !ok {
		return Token{}, &OrderError{fmt.Sprintf("only a service account can sign a JWT, and %q is not a service account", order.Principal.Member())}
	}
	key, err := i.keys.User(account.Email, account.UniqueID).Active(ctx)
	if err != nil {
		return Token{}, err
	}
	issued, expires := i.period(order.Lifetime)
	claims, err := merged(struct {
		Audience string `json:"aud,omitempty"`
		Expires  int64  `json:"exp"`
		IssuedAt int64  `json:"iat"`
		Issuer   string `json:"iss"`
		Scope    string `json:"scope,omitempty"`
		Subject  string `json:"sub"`
	}{order.Audience, expires.Unix(), issued.Unix(), account.Email, strings.Join(order.Scopes, " "), account.Email}, order.Claims)
	if err != nil {
		return Token{}, err
	}
	return i.signed(ctx, KindJWT, signer.RSA(key), claims, Token{Issued: issued, Expires: expires})
}

// period returns the validity of a token that is issued now.
func (i *Issuer) period(lifetime time.Duration) (issued, expires time.Time) {
	issued = i.now().Truncate(time.Second) // truncated, never rounded up: verifiers of ID tokens allow no clock skew
	return issued, issued.Add(lifetime)
}

// merged returns the claims of under, overridden by over. A nil value removes a claim.
func merged(under any, over map[string]any) (map[string]any, error) {
	data, err := json.Marshal(under)
	if err != nil {
		return nil, fmt.Errorf("encode the claims: %w", err)
	}
	claims := map[string]any{}
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.UseNumber()
	if err := decoder.Decode(&claims); err != nil {
		return nil, fmt.Errorf("decode the claims: %w", err)
	}
	maps.Copy(claims, over)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	return claims, nil
}
