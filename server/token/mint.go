package token

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/world"
)

// Order is a token that somebody wants, whoever would be entitled to it.
type Order struct {
	Kind      Kind // any but KindRefresh
	Principal iam.Principal
	Audience  string         // of any but an access token
	Scopes    []string       // of an access token or a JWT; an access token without any has iam.CloudPlatform
	Claims    map[string]any // of any but an access token, over those that it would have; nil takes one away
	Lifetime  time.Duration  // zero for an hour; ten minutes, of an assertion of Identity-Aware Proxy
	Defect    Defect         // one that the kind can have; its claims take the place of all others

	// Instance, where there is one, is told of in an ID token, as the metadata server does
	// with format=full.
	Instance ComputeEngine
}

// OrderError says why there is no such token.
type OrderError struct{ Reason string }

func (e *OrderError) Error() string { return e.Reason }

// Mint issues a token to order. The error is an *OrderError, or says why the keys cannot be
// used.
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
	if err == nil && order.Defect != NoDefect && !IsDefective(ctx) {
		return Token{}, &OrderError{fmt.Sprintf("the token has nothing that defect %q could change: its claims name no e-mail address", order.Defect)}
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
	case KindAccess, KindRefresh:
	}
	return i.Access(ctx, Grant{Principal: order.Principal, Scopes: order.Scopes}, order.Lifetime)
}

// longestLifetime is that of the tokens that an organisation may allow.
const longestLifetime = 12 * time.Hour

func (o Order) check() error {
	kinds := []Kind{KindAccess, KindID, KindJWT, KindIAP}
	switch {
	case !slices.Contains(kinds, o.Kind):
		return &OrderError{fmt.Sprintf("unknown kind of token %q; there are: access, id, jwt, iap", o.Kind)}
	case o.Lifetime < 0 || o.Lifetime > longestLifetime || o.Lifetime%time.Second != 0:
		return &OrderError{fmt.Sprintf("lifetime %s is not a number of seconds up to 12h", o.Lifetime)}
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
		return o.checkDefect()
	}
}

func (o Order) checkDefect() error {
	possible := o.Kind.Defects()
	switch {
	case o.Defect == NoDefect:
	case !slices.Contains(KindID.Defects(), o.Defect): // which are all
		return &OrderError{fmt.Sprintf("unknown defect %q; there are: %s", o.Defect, list(possible))}
	case !slices.Contains(possible, o.Defect):
		return &OrderError{fmt.Sprintf("a token of kind %q cannot have defect %q; it can have: %s", o.Kind, o.Defect, list(possible))}
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

// mintID issues an ID token as the metadata server does, but for the claims of the order.
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
	return i.signed(ctx, KindID, byKey(key), claims, Token{Issued: issued, Expires: expires})
}

// mintJWT issues what a service account signs with the key in its key file, to call an API
// without asking for an access token first (https://google.aip.dev/auth/4111).
func (i *Issuer) mintJWT(ctx context.Context, w *world.World, order Order) (Token, error) {
	account, ok := w.Account(order.Principal.ID)
	if !ok {
		return Token{}, &OrderError{fmt.Sprintf("only a service account signs tokens, which %q is not", order.Principal.Member())}
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
	return i.signed(ctx, KindJWT, byKey(key), claims, Token{Issued: issued, Expires: expires})
}

// period is the time in which a token that is issued now is good.
func (i *Issuer) period(lifetime time.Duration) (issued, expires time.Time) {
	issued = i.now().Truncate(time.Second) // never in the future: verifiers allow no skew
	return issued, issued.Add(lifetime)
}

// merged lays claims over others.
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
