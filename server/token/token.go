// Package token issues and recognises the credentials of an emulator: access tokens,
// refresh tokens and ID tokens.
//
// Access and refresh tokens are self-contained (see signer.Sealer), so that nothing grows
// with their number; those that were revoked are remembered, in a bounded set. ID tokens
// are signed with Google's key set. The metadata server gives out the same token again
// while it is good; the caches for that are here, and bounded.
//
// Who may have which token is for the surfaces and package iam to say.
package token

import (
	"errors"
	"slices"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/signer"
)

// IDTokenLifetime is how long Google's ID tokens live.
const IDTokenLifetime = time.Hour

// MinimumLeft is how long a cached token is good for at least when it is given out again.
// Google's servers replace theirs some five minutes before they expire, and clients ask
// for a new one up to four minutes before that.
const MinimumLeft = 5 * time.Minute

const (
	cachedTokens = 512  // how many of either kind are remembered
	cachedBytes  = 2048 // a token for a longer audience or scope is not
)

// Token is a credential and the time from which and until which it is good.
type Token struct {
	Text            string
	Issued, Expires time.Time

	left time.Duration
}

// Left is how long a token of a cache was good for when it was taken from there: at least
// MinimumLeft.
func (t Token) Left() time.Duration { return t.left }

var (
	// ErrUnknown says that a token was not made by this emulator, or was tampered with.
	ErrUnknown = errors.New("the token is not one of this emulator's")
	// ErrExpired says that a token was good once, or will be by a clock that was set back.
	ErrExpired = errors.New("the token has expired")
	// ErrRevoked says that a token, or the refresh token that it was made with, was revoked.
	ErrRevoked = errors.New("the token has been revoked")
	// ErrInactive says that the one whom a token speaks for is disabled, or is no more.
	ErrInactive = errors.New("the token's principal is disabled or does not exist")
)

// IsRefusal tells whether an error is one of the above, by which a token is refused.
func IsRefusal(err error) bool {
	return slices.ContainsFunc([]error{ErrUnknown, ErrExpired, ErrRevoked, ErrInactive},
		func(refusal error) bool { return errors.Is(err, refusal) })
}

// Issuer issues and recognises tokens. It is safe for concurrent use, and holds no lock
// while it signs.
type Issuer struct {
	keys    *keys.Ring
	now     func() time.Time
	sealers sync.Map // of *signer.Sealer, by the prefix of their tokens
	revoked *revocations

	stranger func() *keys.Ring // with keys that nobody knows, made when a token is to have one

	accesses   *cache[accessKey]
	identities *cache[identityKey]
	opened     *lru.Cache[string, Access] // access tokens that were read last, good or not
}

// NewIssuer is an issuer that signs with a ring's keys at the times of a clock.
func NewIssuer(ring *keys.Ring, now func() time.Time) *Issuer {
	return &Issuer{
		keys:       ring,
		now:        now,
		revoked:    newRevocations(),
		stranger:   sync.OnceValue(ring.Stranger),
		accesses:   newCache[accessKey](now),
		identities: newCache[identityKey](now),
		opened:     newLRU[string, Access](cachedTokens),
	}
}

// Sealer seals the tokens that begin with a prefix. Each prefix is a kind of token, and
// none is taken for another.
func (i *Issuer) Sealer(prefix string) (*signer.Sealer, error) {
	if known, ok := i.sealers.Load(prefix); ok {
		return known.(*signer.Sealer), nil
	}
	sealer, err := newSealer(i.keys, prefix)
	if err == nil {
		i.sealers.Store(prefix, sealer)
	}
	return sealer, err
}

func newLRU[K comparable, V any](size int) *lru.Cache[K, V] {
	made, err := lru.New[K, V](size)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return made
}

func newSealer(ring *keys.Ring, prefix string) (*signer.Sealer, error) {
	secret, err := ring.Secret()
	if err != nil {
		return nil, err
	}
	return signer.NewSealer(secret, prefix)
}
