// Package token issues and recognises the emulator's credentials: access tokens, refresh tokens and ID
// tokens.
//
// Access and refresh tokens are self-contained (see signer.Sealer), so the emulator stores none of them. They
// are never longer than Google's: if a grant does not fit, the key ring keeps it, once for all tokens with
// the same grant. Package retired remembers the revoked tokens. ID tokens are signed with Google's key set.
// While a token stays valid, the metadata server returns it again; this package holds the bounded caches for
// this.
//
// The package does not decide who may get a token: the surfaces and package iam do.
package token

import (
	"errors"
	"slices"
	"sync"
	"time"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/lru"
	"gcp-metadata-emulator/server/metrics"
	"gcp-metadata-emulator/server/retired"
	"gcp-metadata-emulator/signer"
)

// IDTokenLifetime is the lifetime of Google's ID tokens.
const IDTokenLifetime = time.Hour

// MinimumLeft is the shortest remaining lifetime of a token from the cache. Google's servers
// replace a cached token about five minutes before it expires, and clients request a new token up
// to four minutes before it expires.
const MinimumLeft = 5 * time.Minute

const (
	cachedTokens = 512  // maximum number of cached tokens of each kind
	cachedBytes  = 2048 // maximum length of the audience or scopes of a cached token
)

// Token is a credential and its period of validity.
type Token struct {
	Text            string
	Issued, Expires time.Time
	Defect          Defect // the defect with which it was issued, or NoDefect

	left time.Duration
}

// IsDefective reports whether the token was issued with a defect.
func (t Token) IsDefective() bool { return t.Defect != NoDefect }

// Left returns how long the token was still valid when it was taken from the cache: at least
// MinimumLeft.
func (t Token) Left() time.Duration { return t.left }

var (
	// ErrUnknown means that this emulator did not issue the token, or somebody changed it.
	ErrUnknown = errors.New("the token was not issued by this emulator")
	// ErrExpired means that the token has expired, or the clock was set back to before its time.
	ErrExpired = errors.New("the token has expired")
	// ErrRevoked means that the token, or its refresh token, was revoked.
	ErrRevoked = errors.New("the token has been revoked")
	// ErrInactive means that the token's principal is disabled or no longer exists.
	ErrInactive = errors.New("the token's principal is disabled or does not exist")
)

// IsRefusal reports whether err is one of the four errors above. All of them are reasons to refuse
// a token.
func IsRefusal(err error) bool {
	return slices.ContainsFunc([]error{ErrUnknown, ErrExpired, ErrRevoked, ErrInactive},
		func(refusal error) bool { return errors.Is(err, refusal) })
}

// Issuer issues and recognises tokens. It is safe for concurrent use, and holds no lock while it
// signs.
type Issuer struct {
	keys    *keys.Ring
	now     func() time.Time
	sealers sync.Map    // *signer.Sealer by token prefix
	revoked retired.Set // IDs of tokens and of sessions
	counts  metrics.Tokens

	coding   func() (coding, error) // of opaque tokens
	stranger func() *keys.Ring      // returns a ring of unpublished keys, made on first use

	accesses   *cache[accessKey]
	identities *cache[identityKey]
	verified   *lru.Cache[digest, signed] // JWTs whose signatures matched
	opened     *lru.Cache[string, Access] // content of the access tokens that were read most recently, valid or not

	verifiedCounts, openedCounts metrics.Cache
}

// NewIssuer returns an issuer that signs with the ring's keys. now is its clock.
func NewIssuer(ring *keys.Ring, now func() time.Time) *Issuer {
	return &Issuer{
		keys:       ring,
		now:        now,
		revoked:    retired.NewSet(RememberedRevocations),
		coding:     sync.OnceValues(newCoding),
		stranger:   sync.OnceValue(ring.Stranger),
		accesses:   newCache[accessKey](now),
		identities: newCache[identityKey](now),
		verified:   lru.New[digest, signed](cachedTokens),
		opened:     lru.New[string, Access](cachedTokens),
	}
}

// The names of the caches in metrics.
const (
	cacheAccess    = "access"    // access tokens
	cacheID        = "id"        // ID tokens
	cacheSignature = "signature" // verified signatures
	cacheContent   = "content"   // the content of access tokens
)

// Measure makes the issuer count tokens, signatures and the use of its caches. Call it before the
// issuer is used.
func (i *Issuer) Measure(requests *metrics.Requests) {
	var kinds []string
	for _, kind := range allKinds() {
		kinds = append(kinds, string(kind))
	}
	i.counts = requests.Tokens(kinds, []string{cacheAccess, cacheID, cacheSignature, cacheContent})
	i.accesses.counts, i.identities.counts = i.counts.Cache(cacheAccess), i.counts.Cache(cacheID)
	i.verifiedCounts, i.openedCounts = i.counts.Cache(cacheSignature), i.counts.Cache(cacheContent)
}

// Now returns the time by which tokens are issued and expire.
func (i *Issuer) Now() time.Time { return i.now() }

// sealer returns the sealer for tokens with this prefix.
func (i *Issuer) sealer(prefix string) (*signer.Sealer, error) {
	if known, ok := i.sealers.Load(prefix); ok {
		return known.(*signer.Sealer), nil
	}
	sealer, err := newSealer(i.keys, prefix)
	if err == nil {
		i.sealers.Store(prefix, sealer)
	}
	return sealer, err
}

func newSealer(ring *keys.Ring, prefix string) (*signer.Sealer, error) {
	secret, err := ring.Secret()
	if err != nil {
		return nil, err
	}
	return signer.NewSealer(secret, prefix)
}
