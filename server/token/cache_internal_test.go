package token

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gcp-metadata-emulator/keys"
)

// These tests are in package token because a caller cannot tell how often a token was made: equal
// claims in the same second give equal signatures.

// mint counts its calls.
type mint struct{ calls atomic.Int64 }

func (m *mint) make(context.Context) (Token, error) {
	time.Sleep(time.Second) // signing takes time in which others call; the clock is synthetic
	m.calls.Add(1)
	return Token{Text: "x", Expires: time.Now().Add(time.Hour)}, nil
}

func TestManyMissesMakeOneToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, m := newCache[string](time.Now), &mint{}
		leaving, leave := context.WithCancel(t.Context())
		go func() { _, _ = c.get(leaving, "k", 0, m.make) }() // the first caller gives up
		synctest.Wait()
		for range 50 {
			go func() {
				if token, err := c.get(t.Context(), "k", 0, m.make); err != nil || token.Text != "x" {
					t.Errorf("get = %+v, %v", token, err)
				}
			}()
		}
		synctest.Wait()
		leave()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := m.calls.Load(); got != 1 {
			t.Errorf("made %d times, want once", got)
		}
		if _, err := c.get(t.Context(), "k", 0, m.make); err != nil || m.calls.Load() != 1 {
			t.Errorf("made %d times after it was remembered, %v", m.calls.Load(), err)
		}
		if _, err := c.get(t.Context(), "other", 0, m.make); err != nil || m.calls.Load() != 2 {
			t.Errorf("another key was not made: %d calls, %v", m.calls.Load(), err)
		}
	})
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, m := newCache[string](time.Now), &mint{}
		for i := range 2 * cachedTokens {
			if _, err := c.get(t.Context(), strconv.Itoa(i), 0, m.make); err != nil {
				t.Fatal(err)
			}
		}
		if got := c.tokens.Len(); got != cachedTokens {
			t.Errorf("%d tokens are remembered, want %d", got, cachedTokens)
		}
		for range 2 { // a token that is too large is made each time
			if _, err := c.get(t.Context(), "large", cachedBytes+1, m.make); err != nil {
				t.Fatal(err)
			}
		}
		if got := m.calls.Load(); got != 2*cachedTokens+2 {
			t.Errorf("made %d times, want %d", got, 2*cachedTokens+2)
		}
	})
}

func TestFailureIsNotRemembered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, m := newCache[string](time.Now), &mint{}
		failure := errors.New("no key")
		fail := func(context.Context) (Token, error) { return Token{}, failure }
		if _, err := c.get(t.Context(), "k", 0, fail); !errors.Is(err, failure) {
			t.Errorf("get = %v, want %v", err, failure)
		}
		if token, err := c.get(t.Context(), "k", 0, m.make); err != nil || token.Text != "x" {
			t.Errorf("get after a failure = %+v, %v", token, err)
		}
	})
}

// Left is the time left at the check that accepted the token, not at a later one.
func TestLeftIsThatOfTheDecision(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	c := newCache[string](func() time.Time {
		now = now.Add(time.Millisecond)
		return now
	})
	expires := now.Add(MinimumLeft + time.Millisecond) // valid for just long enough at the next check
	c.tokens.Add("k", Token{Text: "x", Issued: now, Expires: expires})
	if token, ok := c.fresh("k"); !ok || token.Left() != MinimumLeft {
		t.Errorf("left is %v, %v; want %v", token.Left(), ok, MinimumLeft)
	}
}

// However many tokens are verified, the issuer remembers a bounded number of them.
func TestVerifiedTokensAreBounded(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	i := NewIssuer(keys.NewStock().NewRing(func() time.Time { return now }), func() time.Time { return now })
	for n := range cachedTokens + 20 {
		issued, err := i.ID(t.Context(), Claims{Audience: strconv.Itoa(n), Subject: "1"})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := i.signature(t.Context(), nil, issued.Text); err != nil {
			t.Fatal(err)
		}
		if _, _, err := i.signature(t.Context(), nil, issued.Text+"AAAA"); err == nil {
			t.Fatal("a changed signature is good")
		}
	}
	if got := i.verified.Len(); got != cachedTokens {
		t.Errorf("%d tokens are remembered, want %d", got, cachedTokens)
	}
}
