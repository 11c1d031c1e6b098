package token_test

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/signer"
)

// Verify gives a sentence of its own for each defect of each kind of token, and accepts only a
// token without a defect.
func TestVerifyNamesDefects(t *testing.T) {
	t.Parallel()
	m := newPress(t)
	demand := token.Demand{Audience: service, Email: owner}
	for _, kind := range []token.Kind{token.KindAccess, token.KindID, token.KindJWT, token.KindIAP} {
		order, demand, issuer := token.Order{Kind: kind, Audience: service}, demand, token.IssuerURL
		if kind == token.KindAccess {
			order.Audience, demand.Audience = "", ""
		}
		if kind == token.KindJWT {
			order.Claims, issuer = map[string]any{"email": owner}, owner
		}
		if kind == token.KindIAP {
			issuer = "https://cloud.google.com/iap"
		}
		for _, defect := range append(kind.Defects(), token.NoDefect) {
			want := map[token.Defect]string{
				token.NoDefect:        ``,
				token.Expired:         `the token expired at 2026-11-21T11:00:00Z, 1h0m0s ago`,
				token.NotYetValid:     `the token is not valid before 2026-11-21T13:00:00Z, in 1h0m0s`,
				token.WrongIssuer:     `the issuer is "https://wrong-issuer\.example\.com", .*"` + issuer + `"`,
				token.WrongAudience:   `the token is for "https://wrong-audience\.example\.com", not for "https://service\.example\.com"`,
				token.UnknownKey:      `the token names key ID "[\w-]+", but this emulator has not published a key with that ID`,
				token.Tampered:        `the signature does not match key "[\w-]+": the token was changed after it was signed`,
				token.MissingEmail:    `the token has no e-mail address, so it cannot be shown to be for "` + owner + `"`,
				token.UnverifiedEmail: `the token does not say that the e-mail address "` + owner + `" is verified`,
				token.AlgNone:         `the token is not signed: its header says alg "none"`,
				token.Revoked:         `the (access )?token was revoked`,
				token.JustExpired:     `the token expired at 2026-11-21T11:59:59Z, 1s ago`,
				token.CopiedKeyID:     `the signature does not match key "[\w-]+": the token was changed after it was signed`,
				token.HMACPublicKey:   `the token is signed with "HS256", but only RS256 and ES256 are accepted`,
				token.NoKeyID:         `the token names key ID "", but this emulator has not published a key with that ID`,
				token.NoSignature:     `the signature does not match key "[\w-]+": the token was changed after it was signed`,
				token.EmbeddedKey:     `the token names key ID "[\w-]+", but this emulator has not published a key with that ID`,
				token.KeyURL:          `the token names key ID "[\w-]+", but this emulator has not published a key with that ID`,
				token.CertificateURL:  `the token names key ID "[\w-]+", but this emulator has not published a key with that ID`,
				token.CriticalHeader:  `the JSON Web Token is malformed: its header demands extensions in crit, and none is known`,
				token.DuplicateClaims: `the JSON Web Token is malformed: its payload has duplicate members, or something after its JSON object`,
				token.TrailingBytes:   `the JSON Web Token is malformed: its payload has duplicate members, or something after its JSON object`,
				token.LastLetter:      `the JSON Web Token is malformed: it cannot be decoded, because it was truncated or changed`,
			}[defect]
			if kind == token.KindAccess && (defect == token.UnknownKey || defect == token.Tampered) {
				want = `the access token was not issued by this emulator, or was changed afterwards`
			}
			if kind == token.KindIAP && defect == token.MissingEmail {
				want = `the token has no e-mail address, but all tokens of its kind have one`
			}
			order.Defect = defect
			text := m.order(t, owner, order)
			_, err := m.Verify(t.Context(), m.world, text, demand)
			got := ""
			if refused, ok := errors.AsType[*token.RefusedError](err); ok {
				got = refused.Reason
			} else if err != nil {
				t.Fatal(err)
			}
			if !regexp.MustCompile("^" + want + "$").MatchString(got) {
				t.Errorf("%s %q: %q, want %q", kind, defect, got, want)
			}
		}
	}
}

// Verify refuses known defects even if the caller demands nothing.
func TestVerifyNamesDefectsWithoutDemands(t *testing.T) {
	t.Parallel()
	m := newPress(t)
	for name, order := range map[string]token.Order{
		"access": {Kind: token.KindAccess}, "id": {Kind: token.KindID, Audience: service}, "jwt": {Kind: token.KindJWT, Audience: service},
		"iap": {Kind: token.KindIAP, Audience: service}, "full": {Kind: token.KindID, Audience: service, Instance: token.ComputeEngine{Name: "vm"}},
	} {
		for _, defect := range order.Kind.Defects() {
			order.Defect = defect
			_, err := m.Verify(t.Context(), m.world, m.order(t, owner, order), token.Demand{})
			_, refused := errors.AsType[*token.RefusedError](err)
			if want := name != "id" || defect != token.MissingEmail; refused != want { // a standard ID token has no e-mail address
				t.Errorf("%s %s: %v", name, defect, err)
			}
		}
	}
}

// A token with a defect is neither cached nor taken from the cache, and leaves cached tokens as
// they are.
func TestDefectsAreNotCached(t *testing.T) {
	t.Parallel()
	issuer, clock := newIssuer()
	claims := token.Claims{Audience: "x", Subject: "1", Email: account.Email}
	for _, cache := range []struct {
		kind token.Kind
		get  func(context.Context) (token.Token, error)
	}{
		{token.KindAccess, func(ctx context.Context) (token.Token, error) {
			return issuer.CachedAccess(ctx, account, []string{"s"})
		}},
		{token.KindID, func(ctx context.Context) (token.Token, error) {
			return issuer.CachedID(ctx, claims.Identity(), claims.Audience)
		}},
	} {
		kind, get := cache.kind, cache.get
		text := func(defect token.Defect) string {
			issued, err := get(token.WithDefect(t.Context(), defect))
			if err != nil || !issued.Issued.Equal(clock.now().Truncate(time.Second)) || issued.Expires.Sub(issued.Issued) != time.Hour {
				t.Fatalf("%s %s: %+v, %v", kind, defect, issued, err)
			}
			return issued.Text
		}
		before := text(token.Revoked)
		good := text(token.NoDefect)
		seen := []string{before, good}
		for _, defect := range kind.Defects() {
			if bad := text(defect); slices.Contains(seen, bad) {
				t.Errorf("%s: a token for %s was given out before", kind, defect)
			} else {
				seen = append(seen, bad)
			}
		}
		if again := text(token.NoDefect); again != good {
			t.Errorf("%s: the token that was remembered is another after one with a defect", kind)
		}
		if kind == token.KindAccess {
			if _, err := issuer.Recognise(good); err != nil {
				t.Errorf("the good token is refused: %v", err)
			}
			if again := text(token.WrongAudience); again != good {
				t.Error("a defect that access tokens cannot have makes another one")
			}
		}
	}
}

// VerifyID and Bearer refuse tokens that are revoked, not yet valid or wrongly issued. A
// JWT says itself that it is revoked, so that a reset does not make it good.
func TestDefectsAreRefusedEverywhere(t *testing.T) {
	t.Parallel()
	m := newPress(t)
	for _, test := range []struct {
		defect token.Defect
		want   error
	}{
		{token.NoDefect, nil},
		{token.UnverifiedEmail, nil},
		{token.Expired, token.ErrExpired},
		{token.Revoked, token.ErrRevoked},
		{token.NotYetValid, token.ErrUnknown},
		{token.WrongIssuer, token.ErrUnknown},
		{token.UnknownKey, token.ErrUnknown},
		{token.Tampered, token.ErrUnknown},
		{token.AlgNone, token.ErrUnknown},
	} {
		text := m.order(t, owner, token.Order{Kind: token.KindID, Audience: service, Defect: test.defect})
		if _, err := m.VerifyID(t.Context(), text); !errors.Is(err, test.want) {
			t.Errorf("VerifyID of an ID token with defect %q: %v, want %v", test.defect, err, test.want)
		}
	}
	order := token.Order{Kind: token.KindJWT, Audience: "https://" + host, Defect: token.Revoked}
	text := m.order(t, owner, order)
	if _, err := m.Bearer(m.world, text, host); !errors.Is(err, token.ErrUnknown) {
		t.Errorf("Bearer of a revoked JWT: %v, want ErrUnknown", err)
	}
	m.Reset()
	if _, err := m.Bearer(m.world, text, host); !errors.Is(err, token.ErrUnknown) {
		t.Errorf("Bearer of it after a reset: %v, want ErrUnknown", err)
	}
}

// Without a defect, Sign keeps the payload byte for byte.
func TestSign(t *testing.T) {
	t.Parallel()
	m := newPress(t)
	key, err := m.ring.System(owner).Active(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	payload := []byte(`{"z": 1,  "a":"<&>","exp":12345678901234567890}`)
	want, err := signer.JWT(key, json.RawMessage(payload))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := m.Sign(t.Context(), key, payload); err != nil || got.Text != want || got.IsDefective() {
		t.Errorf("Sign = %+v, %v, want %q", got, err, want)
	}
	spoilt, err := m.Sign(token.WithDefect(t.Context(), token.WrongIssuer), key, payload)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := signer.Parse(spoilt.Text)
	if err != nil || spoilt.Defect != token.WrongIssuer || !parsed.SignedBy(key.Public()) || parsed.Claims["iss"] != token.WrongIssuerURL || parsed.Claims["a"] != "<&>" {
		t.Errorf("Sign with a defect: %+v, %v", parsed, err)
	}
	if none, err := m.Sign(token.WithDefect(t.Context(), token.AlgNone), key, payload); err != nil || none.Defect != token.AlgNone || !strings.HasSuffix(none.Text, ".") {
		t.Errorf("Sign with alg none: %+v, %v", none, err)
	}
}

// Mint returns the times of a token with a shifted period.
func TestMintTellsTimes(t *testing.T) {
	t.Parallel()
	m := newPress(t)
	who, _ := m.world.Principal(owner)
	for _, test := range []struct {
		defect token.Defect
		after  time.Duration
	}{{token.NoDefect, time.Hour}, {token.Expired, -time.Hour}, {token.NotYetValid, 2 * time.Hour}} {
		minted, err := m.Mint(t.Context(), m.world, token.Order{Kind: token.KindID, Principal: who, Audience: service, Defect: test.defect})
		if err != nil || minted.Expires.Sub(m.now) != test.after {
			t.Errorf("%q expires %v, %v, want after %v", test.defect, minted.Expires, err, test.after)
		}
	}
}
