package token

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/retired"
	"gcp-metadata-emulator/server/world"
)

// Grant holds the rights that a token gives to its bearer. In CBOR it has no session, because
// tokens share the grant.
type Grant struct {
	Principal iam.Principal `cbor:"1,keyasint"`
	Scopes    Scopes        `cbor:"2,keyasint,omitempty"`

	// Client is the ID of the OAuth client of a user's token, or the unique ID of the service
	// account that acts for the user.
	Client string `cbor:"3,keyasint,omitempty"`
	// Offline reports whether the client also has a refresh token.
	Offline bool `cbor:"4,keyasint,omitempty"`
	// Session is shared by the tokens of one consent. Revoking one of them revokes all.
	Session string `cbor:"-"`
	// Boundary is the access boundary of a downscoped token, as the token exchange received it
	// (https://cloud.google.com/iam/docs/downscoping-short-lived-credentials).
	Boundary json.RawMessage `cbor:"5,keyasint,omitempty"`
}

// stamp is the part of an access token or refresh token that is different in every token.
type stamp struct {
	_ struct{} `cbor:",toarray"`

	ID, Session       string
	IssuedAt, Expires int64 // Unix seconds; a refresh token has no expiry
}

// ForAccount returns the grant of scopes to a service account.
func ForAccount(account *world.ServiceAccount, scopes []string) Grant {
	return Grant{Principal: account.Principal(), Scopes: scopes}
}

// ForUser returns the grant of scopes from a user to an OAuth client. The grant is for offline
// access, and starts a session.
func ForUser(user *world.User, client string, scopes []string) Grant {
	return Grant{Principal: user.Principal(), Scopes: scopes, Client: client, Session: retired.NewID(), Offline: true}
}

// Access is the content of an access token. Times are in Unix seconds.
type Access struct {
	Grant

	ID                string
	IssuedAt, Expires int64
}

// The prefixes of Google's access tokens, by kind of principal.
const (
	accountPrefix   = "ya29.c."
	userPrefix      = "ya29.a0"
	federatedPrefix = "ya29.d."
)

func accessPrefixes() []string { return []string{accountPrefix, userPrefix, federatedPrefix} }

func accessForm(prefix string) Form { return Form{Prefix: prefix, Limit: MaxAccess} }

func accessPrefix(kind iam.Kind) string {
	switch kind {
	case iam.KindUser:
		return userPrefix
	case iam.KindFederated:
		return federatedPrefix
	case iam.KindServiceAccount, iam.KindUnknown:
	}
	return accountPrefix
}

// Access issues an access token with the grant's canonical scopes. The lifetime is truncated to whole seconds.
func (i *Issuer) Access(ctx context.Context, grant Grant, lifetime time.Duration) (Token, error) {
	grant.Scopes = iam.CanonicalScopes(grant.Scopes)
	issued, expires := i.period(lifetime.Truncate(time.Second))
	defect := defectOf(ctx, KindAccess)
	text, err := i.sealed(ctx, Access{Grant: grant, ID: retired.NewID(), IssuedAt: issued.Unix(), Expires: expires.Unix()}, defect)
	if err != nil {
		return Token{}, err
	}
	i.counts.Minted(string(KindAccess))
	return Token{Text: text, Issued: issued, Expires: expires, Defect: defect}, nil
}

// accessKey identifies a cached access token.
type accessKey struct{ email, uniqueID, scopes string }

// CachedAccess issues an access token for a service account. It returns the cached token again if
// that stays valid for at least MinimumLeft.
func (i *Issuer) CachedAccess(ctx context.Context, account *world.ServiceAccount, scopes []string) (Token, error) {
	if defectOf(ctx, KindAccess) != NoDefect {
		return i.Access(ctx, ForAccount(account, scopes), world.DefaultTokenLifetime)
	}
	key := accessKey{account.Email, account.UniqueID, strings.Join(scopes, " ")}
	if known, ok := i.accesses.lookUp(key); ok {
		return known, nil
	}
	return i.accesses.get(ctx, key, len(key.scopes), func(ctx context.Context) (Token, error) {
		return i.Access(ctx, ForAccount(account, scopes), world.DefaultTokenLifetime)
	})
}

// IsAccess reports whether text looks like one of Google's access tokens.
func IsAccess(text string) bool { return strings.HasPrefix(text, "ya29.") }

// Recognise reads an access token of this emulator, or of another with the same keys. The error is
// ErrUnknown, ErrExpired, ErrRevoked, or a failure to read the keys. With ErrExpired and ErrRevoked
// it also returns the token's content, which the caller must not change.
func (i *Issuer) Recognise(text string) (Access, error) {
	access, err := i.open(text)
	switch {
	case err != nil:
		return Access{}, err
	case !i.now().Before(time.Unix(access.Expires, 0)), i.isYetToCome(access):
		return access, ErrExpired
	case i.isRetired(access.ID, access.Session):
		return access, ErrRevoked
	default:
		return access, nil
	}
}

// IsOver reports whether text is an access token of this emulator, or of another with the same
// keys, and has since expired or been revoked.
func (i *Issuer) IsOver(text string) bool {
	access, err := i.open(text)
	return err == nil && (!i.now().Before(time.Unix(access.Expires, 0)) || i.isRetired(access.ID, access.Session))
}

// isYetToCome reports whether the token was issued before the clock was set back. It tolerates
// another process with a clock a little ahead.
func (i *Issuer) isYetToCome(access Access) bool {
	return time.Unix(access.IssuedAt, 0).After(i.now().Add(AllowedSkew))
}

// open reads an access token without checking its times. It caches the content, because most
// tokens are read many times.
func (i *Issuer) open(text string) (Access, error) {
	if known, ok := i.opened.Get(text); ok {
		i.openedCounts.Hit()
		return known, nil
	}
	prefixes := accessPrefixes()
	kind := slices.IndexFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(text, prefix) })
	if kind < 0 {
		return Access{}, ErrUnknown
	}
	i.openedCounts.Miss()
	var own stamp
	var grant Grant
	if err := i.Open(accessForm(prefixes[kind]), text, &own, &grant); err != nil {
		return Access{}, err
	}
	grant.Session = own.Session
	access := Access{Grant: grant, ID: own.ID, IssuedAt: own.IssuedAt, Expires: own.Expires}
	i.opened.Add(strings.Clone(text), access) // clone, so that the cache does not retain the whole header
	return access, nil
}
