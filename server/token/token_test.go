package token_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/server/world/worldtest"
)

var account = &world.ServiceAccount{Email: "a@p.iam.gserviceaccount.com", UniqueID: "100000000000000000001"}

// clock is a clock that the test controls.
type clock struct{ unix atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.unix.Store(1_800_000_000)
	return c
}

func (c *clock) now() time.Time          { return time.Unix(c.unix.Load(), 5e8) }
func (c *clock) advance(d time.Duration) { c.unix.Add(int64(d / time.Second)) }

func newIssuer() (*token.Issuer, *clock) {
	c := newClock()
	return token.NewIssuer(worldtest.Ring(c.now), c.now), c
}

func TestAccess(t *testing.T) {
	t.Parallel()
	issuer, clock := newIssuer()
	issued, err := issuer.Access(t.Context(), token.ForAccount(account, []string{"s1", "s2"}), time.Minute)
	if err != nil || !strings.HasPrefix(issued.Text, "ya29.c.") {
		t.Fatalf("Access = %+v, %v", issued, err)
	}
	access, err := issuer.Recognise(issued.Text)
	if err != nil || access.Principal.Email != account.Email || access.Principal.ID != account.UniqueID ||
		strings.Join(access.Scopes, " ") != "s1 s2" || access.Expires != issued.Expires.Unix() || access.ID == "" {
		t.Errorf("Recognise = %+v, %v", access, err)
	}
	clock.advance(59 * time.Second)
	if _, err := issuer.Recognise(issued.Text); err != nil {
		t.Errorf("refused a second early: %v", err)
	}
	clock.advance(time.Second)
	if _, err := issuer.Recognise(issued.Text); !errors.Is(err, token.ErrExpired) {
		t.Errorf("Recognise = %v after its time, want ErrExpired", err)
	}
	clock.advance(-time.Minute - token.AllowedSkew)
	if _, err := issuer.Recognise(issued.Text); err != nil {
		t.Errorf("refused by a clock that is a little late: %v", err)
	}
	clock.advance(-time.Second)
	if _, err := issuer.Recognise(issued.Text); !errors.Is(err, token.ErrExpired) {
		t.Errorf("Recognise = %v long before its time, want ErrExpired", err)
	}
	want := "the token is not valid before 2027-01-15T08:00:00Z, in 5m0s"
	if _, err := issuer.Verify(t.Context(), nil, issued.Text, token.Demand{}); err == nil || err.Error() != want {
		t.Errorf("Verify = %v, want %q", err, want)
	}
	for _, unknown := range []string{"", "x", "ya29.c.", "ya29.c.AAAA", issued.Text[:30] + "A" + issued.Text[31:] + "A"} {
		if _, err := issuer.Recognise(unknown); !errors.Is(err, token.ErrUnknown) {
			t.Errorf("Recognise(%q) = %v, want ErrUnknown", unknown, err)
		}
	}
}

// An emulator recognises the tokens of another process that uses the same directory.
func TestRecognisedByAReplica(t *testing.T) {
	t.Parallel()
	dir, clock := t.TempDir(), newClock()
	issued, err := token.NewIssuer(keys.NewRing(dir, clock.now), clock.now).Access(t.Context(), token.ForAccount(account, nil), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if access, err := token.NewIssuer(keys.NewRing(dir, clock.now), clock.now).Recognise(issued.Text); err != nil || access.Principal.Email != account.Email {
		t.Errorf("Recognise = %+v, %v", access, err)
	}
}

// A cached token is returned again with less time left, but never with less than five minutes.
func TestCacheAges(t *testing.T) {
	t.Parallel()
	issuer, clock := newIssuer()
	ctx := context.Background()
	caches := map[string]func() (token.Token, error){
		"access": func() (token.Token, error) { return issuer.CachedAccess(ctx, account, []string{"s"}) },
		"id":     func() (token.Token, error) { return issuer.CachedID(ctx, token.Claims{Subject: "1"}.Identity(), "x") },
	}
	first := map[string]token.Token{}
	for name, get := range caches {
		issued, err := get()
		if err != nil {
			t.Fatal(err)
		}
		first[name] = issued
	}
	clock.advance(54 * time.Minute)
	for name, get := range caches {
		if again, err := get(); err != nil || again.Text != first[name].Text {
			t.Errorf("%s: another token with six minutes left: %v", name, err)
		}
	}
	clock.advance(time.Minute + time.Second)
	for name, get := range caches {
		if again, err := get(); err != nil || again.Text == first[name].Text || again.Expires.Sub(clock.now()) < 59*time.Minute {
			t.Errorf("%s: the same token with less than five minutes left: %v", name, err)
		}
	}
	clock.advance(-24 * time.Hour) // a test may set the clock back
	for name, get := range caches {
		if again, err := get(); err != nil || again.Issued.After(clock.now()) || again.Expires.Sub(clock.now()) > time.Hour {
			t.Errorf("%s: a token of the future: %v", name, err)
		}
	}
}

// Each claim that differs makes a separate cache entry.
func TestCacheKeys(t *testing.T) {
	t.Parallel()
	issuer, _ := newIssuer()
	claims := []token.Claims{
		{Audience: "a"},
		{Audience: "b"},
		{Audience: "a", Email: "x@y"},
		{Audience: "a", Google: token.Google{ComputeEngine: token.ComputeEngine{ID: "1"}}},
		{Audience: "a", Google: token.Google{ComputeEngine: token.ComputeEngine{ID: "1", Licenses: "7"}}},
		{Audience: `a", Email: "x@y`},
	}
	seen := map[string]int{}
	for range 2 {
		for i, c := range claims {
			issued, err := issuer.CachedID(context.Background(), c.Identity(), c.Audience)
			if err != nil {
				t.Fatal(err)
			}
			if other, ok := seen[issued.Text]; ok && other != i {
				t.Errorf("claims %d and %d share a token", i, other)
			}
			seen[issued.Text] = i
		}
	}
	if len(seen) != len(claims) {
		t.Errorf("%d tokens for %d claims", len(seen), len(claims))
	}
}

func TestWaitEndsWithContext(t *testing.T) {
	t.Parallel()
	issuer, _ := newIssuer()
	ctx, cancel := context.WithCancelCause(context.Background())
	reason := errors.New("stop")
	cancel(reason)
	if _, err := issuer.CachedID(ctx, token.Claims{}.Identity(), fmt.Sprint(time.Now())); !errors.Is(err, reason) {
		t.Errorf("CachedID = %v, want %v", err, reason)
	}
}

func TestVerifyID(t *testing.T) {
	t.Parallel()
	issuer, clock := newIssuer()
	issued, err := issuer.ID(context.Background(), token.Claims{Audience: "x", Subject: "1"})
	if err != nil {
		t.Fatal(err)
	}
	if parsed, err := issuer.VerifyID(context.Background(), issued.Text); err != nil || parsed.Claims["sub"] != "1" {
		t.Errorf("VerifyID = %v, %v", parsed, err)
	}
	other := token.NewIssuer(keys.NewRing("", clock.now), clock.now)
	if _, err := other.VerifyID(context.Background(), issued.Text); !errors.Is(err, token.ErrUnknown) {
		t.Errorf("VerifyID elsewhere = %v, want ErrUnknown", err)
	}
	unnamed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","typ":"JWT"}`)) + issued.Text[strings.Index(issued.Text, "."):]
	if _, err := issuer.VerifyID(context.Background(), unnamed); !errors.Is(err, token.ErrUnknown) {
		t.Errorf("VerifyID of a token that names no key = %v, want ErrUnknown", err)
	}
	clock.advance(time.Hour)
	if _, err := issuer.VerifyID(context.Background(), issued.Text); !errors.Is(err, token.ErrExpired) {
		t.Errorf("VerifyID later = %v, want ErrExpired", err)
	}
}

// Expected values are from OpenID Connect Core 1.0, appendix A.3.
func TestAccessTokenHash(t *testing.T) {
	t.Parallel()
	if got := token.AccessTokenHash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"); got != "77QmUPtjPfzWtF2AnpK9RQ" {
		t.Errorf("AccessTokenHash = %q", got)
	}
}

// A user's ID token has its claims in Google's order.
func TestUserClaims(t *testing.T) {
	t.Parallel()
	issuer, clock := newIssuer()
	issued, err := issuer.ID(t.Context(), token.Claims{
		Audience: "client", AuthorizedParty: "client", Subject: "1", Email: "a@b.c",
		AccessTokenHash: "h", FamilyName: "F", GivenName: "G", Name: "G F", Nonce: "n",
	})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(issued.Text, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	now := clock.now().Unix()
	want := fmt.Sprintf(`{"at_hash":"h","aud":"client","azp":"client","email":"a@b.c","email_verified":true,"exp":%d,`+
		`"family_name":"F","given_name":"G","iat":%d,"iss":"https://accounts.google.com","name":"G F","nonce":"n","sub":"1"}`, now+3600, now)
	if string(payload) != want {
		t.Errorf("payload is %s, want %s", payload, want)
	}
}

func FuzzRecognise(f *testing.F) {
	issuer, _ := newIssuer()
	f.Add("ya29.c.AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := issuer.Recognise(text); !errors.Is(err, token.ErrUnknown) {
			t.Errorf("Recognise(%q) = %v", text, err)
		}
	})
}
