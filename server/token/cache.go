package token

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/singleflight"

	"gcp-metadata-emulator/server/lru"
	"gcp-metadata-emulator/server/metrics"
)

// cache remembers the most recently used tokens. It holds no lock while it makes a token. If
// concurrent callers ask for the same key, they share one token.
type cache[K comparable] struct {
	now    func() time.Time
	tokens *lru.Cache[K, Token]
	flight singleflight.Group
	counts metrics.Cache
}

func newCache[K comparable](now func() time.Time) *cache[K] {
	return &cache[K]{now: now, tokens: lru.New[K, Token](cachedTokens)}
}

// get returns the token for key. It calls mint if no cached token stays valid for MinimumLeft. A
// token is not cached if size, the key's length in bytes, exceeds cachedBytes.
func (c *cache[K]) get(ctx context.Context, key K, size int, mint func(context.Context) (Token, error)) (Token, error) {
	if token, ok := c.lookUp(key); ok {
		return token, nil
	}
	// All waiting callers share the work, so the first one may leave without failing the others.
	shared := context.WithoutCancel(ctx)
	result := c.flight.DoChan(fmt.Sprintf("%#v", key), func() (any, error) {
		if token, ok := c.fresh(key); ok { // another call has cached it since the check above
			return token, nil
		}
		c.counts.Miss()
		token, err := mint(shared)
		token.left = token.Expires.Sub(c.now())
		if err == nil && size <= cachedBytes {
			c.tokens.Add(key, token)
		}
		return token, err
	})
	select {
	case made := <-result:
		token, _ := made.Val.(Token)
		return token, made.Err
	case <-ctx.Done():
		return Token{}, context.Cause(ctx)
	}
}

// lookUp is fresh, and counts the result.
func (c *cache[K]) lookUp(key K) (Token, bool) {
	token, ok := c.fresh(key)
	if ok {
		c.counts.Hit()
	}
	return token, ok
}

func (c *cache[K]) fresh(key K) (Token, bool) {
	token, ok := c.tokens.Get(key)
	now := c.now() // a test may have set the clock back
	token.left = token.Expires.Sub(now)
	return token, ok && !token.Issued.After(now) && token.left >= MinimumLeft
}

// forget removes all tokens.
func (c *cache[K]) forget() { c.tokens.Purge() }
