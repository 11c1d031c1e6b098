// Package token issues and recognises the credentials of an emulator: access tokens and
// ID tokens.
//
// Access tokens are self-contained (see signer.Sealer), so that nothing grows with their
// number. ID tokens are signed with Google's key set. The metadata server gives out the
// same token again while it is good; the caches for that are here, and bounded.
//
// Who may have which token is for the surfaces and package iam to say.
package token

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/signer"
)

// IDTokenLifetime is how long Google's ID tokens live.
const IDTokenLifetime = time.Hour

// MinimumLeft is how long a cached token is good for at least when it is given out again.
// Google's servers replace theirs some five minutes before they expire, and clients ask
// for a new one up to four minutes before that.
const MinimumLeft = 5 * time.Minute

// accessTokenPrefix begins the access tokens of service accounts.
const accessTokenPrefix = "ya29.c."

const (
	cachedTokens = 512  // how many of either kind are remembered
	cachedBytes  = 2048 // a token for a longer audience or scope is not
)

// Token is a credential and the time until which it is good.
type Token struct {
	Text    string
	Expires time.Time
}

// Access is what an access token says. Times are Unix seconds.
type Access struct {
	ID       string   `json:"jti"`
	Email    string   `json:"email"`
	UniqueID string   `json:"sub"`
	Scopes   []string `json:"scopes"`
	IssuedAt int64    `json:"iat"`
	Expires  int64    `json:"exp"`
}

var (
	// ErrUnknown says that a token was not made by this emulator, or was tampered with.
	ErrUnknown = errors.New("the token is not one of this emulator's")
	// ErrExpired says that a token was good once.
	ErrExpired = errors.New("the token has expired")
)

// Issuer issues and recognises tokens. It is safe for concurrent use, and holds no lock
// while it signs.
type Issuer struct {
	keys   *keys.Ring
	now    func() time.Time
	sealer atomic.Pointer[signer.Sealer] // nil until it is needed

	accesses   *cache[accessKey]
	identities *cache[Claims]
}

// NewIssuer is an issuer that signs with a ring's keys at the times of a clock.
func NewIssuer(ring *keys.Ring, now func() time.Time) *Issuer {
	return &Issuer{
		keys:       ring,
		now:        now,
		accesses:   newCache[accessKey](now),
		identities: newCache[Claims](now),
	}
}

// accessSealer seals access tokens.
func (i *Issuer) accessSealer() (*signer.Sealer, error) {
	if sealer := i.sealer.Load(); sealer != nil {
		return sealer, nil
	}
	secret, err := i.keys.Secret()
	if err != nil {
		return nil, err
	}
	sealer, err := signer.NewSealer(secret, accessTokenPrefix)
	if err == nil {
		i.sealer.Store(sealer)
	}
	return sealer, err
}

// Access issues an access token for a service account. It lives for whole seconds.
func (i *Issuer) Access(account *world.ServiceAccount, scopes []string, lifetime time.Duration) (Token, error) {
	sealer, err := i.accessSealer()
	if err != nil {
		return Token{}, err
	}
	issued := i.now().Truncate(time.Second)
	expires := issued.Add(lifetime.Truncate(time.Second))
	text, err := sealer.Seal(Access{
		ID:       uuid.NewString(),
		Email:    account.Email,
		UniqueID: account.UniqueID,
		Scopes:   slices.Clone(scopes),
		IssuedAt: issued.Unix(),
		Expires:  expires.Unix(),
	})
	if err != nil {
		return Token{}, err
	}
	return Token{Text: text, Expires: expires}, nil
}

// accessKey is what makes two cached access tokens the same.
type accessKey struct{ email, uniqueID, scopes string }

// CachedAccess is Access, but gives out the same token again while it is good for
// MinimumLeft.
func (i *Issuer) CachedAccess(ctx context.Context, account *world.ServiceAccount, scopes []string) (Token, error) {
	key := accessKey{account.Email, account.UniqueID, strings.Join(scopes, " ")}
	if known, ok := i.accesses.fresh(key); ok {
		return known, nil
	}
	return i.accesses.get(ctx, key, len(key.scopes), func(context.Context) (Token, error) {
		return i.Access(account, scopes, world.DefaultTokenLifetime)
	})
}

// Recognise reads an access token that an emulator with the same keys has issued. The
// error is ErrUnknown or ErrExpired, or says why the keys cannot be read.
func (i *Issuer) Recognise(text string) (Access, error) {
	sealer, err := i.accessSealer()
	if err != nil {
		return Access{}, err
	}
	var access Access
	if err := sealer.Open(text, &access); err != nil {
		return Access{}, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	if !i.now().Before(time.Unix(access.Expires, 0)) {
		return Access{}, ErrExpired
	}
	return access, nil
}
