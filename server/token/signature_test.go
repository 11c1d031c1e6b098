package token_test

import (
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/server/token"
)

// Only the signature of a valid token is cached: all other checks run each time.
func TestVerifiedTokensAreLookedAtAgain(t *testing.T) {
	t.Parallel()
	m := newPress(t)
	text := m.order(t, owner, token.Order{Kind: token.KindID, Audience: service})
	verify := func(text string, demand token.Demand) string {
		_, err := m.Verify(t.Context(), m.world, text, demand)
		if err == nil {
			return ""
		}
		return err.Error()
	}
	check := func(when, want string) {
		t.Helper()
		if got := verify(text, token.Demand{Audience: service}); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: %q, want %q", when, got, want)
		}
	}
	check("at first", "")
	check("again", "")
	if got := verify(text[:len(text)-2]+"AA", token.Demand{}); !strings.Contains(got, "was changed after it was signed") {
		t.Errorf("with another signature: %q", got)
	}
	if got := verify(text, token.Demand{Audience: "https://other.example.com"}); !strings.Contains(got, "not for") {
		t.Errorf("for another audience: %q", got)
	}
	m.now = m.now.Add(time.Hour)
	check("an hour later", "the token expired")
	m.now = m.now.Add(-2 * time.Hour)
	check("with the clock set back", "not valid before")
	m.now = m.now.Add(time.Hour)
	check("with the clock right", "")
	if err := m.ring.Google().Rotate(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	check("after a rotation that keeps no key", "has not published a key")
}

// A caller with AnyAudience also accepts the placeholder audience of a defective token.
func TestAnyAudience(t *testing.T) {
	t.Parallel()
	m := newPress(t)
	text := m.order(t, owner, token.Order{Kind: token.KindID, Audience: token.WrongAudienceURL})
	if _, err := m.Verify(t.Context(), m.world, text, token.Demand{AnyAudience: true}); err != nil {
		t.Error(err)
	}
	if _, err := m.Verify(t.Context(), m.world, text, token.Demand{}); err == nil {
		t.Error("it is good for everybody")
	}
}
