package token

import (
	"context"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
)

// cache remembers the tokens that were used last. Its lock is never held while a token is
// made, and callers who miss the same key at once share one token.
type cache[K comparable] struct {
	now    func() time.Time
	tokens *lru.Cache[K, Token]
	flight singleflight.Group
}

func newCache[K comparable](now func() time.Time) *cache[K] {
	return &cache[K]{now: now, tokens: newLRU[K, Token](cachedTokens)}
}

// get returns the token of a key, made now where there is none that is good for
// MinimumLeft. A token whose key is larger than cachedBytes is not remembered.
func (c *cache[K]) get(ctx context.Context, key K, size int, mint func(context.Context) (Token, error)) (Token, error) {
	if token, ok := c.fresh(key); ok {
		return token, nil
	}
	// The work belongs to all who wait for it: the first may leave without failing the rest.
	shared := context.WithoutCancel(ctx)
	result := c.flight.DoChan(fmt.Sprintf("%#v", key), func() (any, error) {
		if token, ok := c.fresh(key); ok { // made between the look and the flight
			return token, nil
		}
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

func (c *cache[K]) fresh(key K) (Token, bool) {
	token, ok := c.tokens.Get(key)
	now := c.now() // which may have been set back
	token.left = token.Expires.Sub(now)
	return token, ok && !token.Issued.After(now) && token.left >= MinimumLeft
}

// forget drops every token.
func (c *cache[K]) forget() { c.tokens.Purge() }
