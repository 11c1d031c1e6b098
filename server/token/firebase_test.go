package token_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/signer"
)

// firebase returns a Firebase token of a user whom the fixture does not know.
func (m *press) firebase(t *testing.T, order token.Order) string {
	t.Helper()
	if order.User == "" {
		order.User = "u1"
	}
	issued, err := m.Mint(t.Context(), m.world, order)
	if err != nil {
		t.Fatal(err)
	}
	return issued.Text
}

func TestFirebaseClaims(t *testing.T) {
	t.Parallel()
	m := newPress(t)
	now, hour := json.Number("1795262400"), json.Number("1795266000")
	for name, test := range map[string]struct {
		order token.Order
		want  map[string]any
	}{
		"any user": {token.Order{Kind: token.KindFirebase, User: "u1"}, map[string]any{
			"iss": "https://securetoken.google.com/my-project", "aud": "my-project", "sub": "u1", "user_id": "u1",
			"iat": now, "auth_time": now, "exp": hour,
			"firebase": map[string]any{"identities": map[string]any{}, "sign_in_provider": "custom"},
		}},
		"a user of the fixture": {token.Order{Kind: token.KindFirebase, User: "DEV@example.com"}, map[string]any{
			"iss": "https://securetoken.google.com/my-project", "aud": "my-project", "sub": "3", "user_id": "3",
			"email": "dev@example.com", "email_verified": true, "iat": now, "auth_time": now, "exp": hour,
			"firebase": map[string]any{
				"identities":       map[string]any{"email": []any{"dev@example.com"}, "google.com": []any{"3"}},
				"sign_in_provider": "google.com",
			},
		}},
		"a session cookie": {token.Order{
			Kind: token.KindFirebaseSession, User: "u1", Project: "p2", Lifetime: 14 * 24 * time.Hour,
			Claims: map[string]any{"role": "admin", "auth_time": 1, "firebase": nil},
		}, map[string]any{
			"iss": "https://session.firebase.google.com/p2", "aud": "p2", "sub": "u1", "user_id": "u1",
			"iat": now, "auth_time": json.Number("1"), "exp": json.Number("1796472000"), "role": "admin",
		}},
	} {
		text := m.firebase(t, test.order)
		parsed, err := signer.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, parsed.Claims); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		verified, err := m.Verify(t.Context(), m.world, text, token.Demand{Audience: test.want["aud"].(string)})
		if err != nil || verified.Kind != test.order.Kind || verified.Principal.ID != test.want["sub"] || verified.Principal.Member() != "" {
			t.Errorf("%s: Verify = %+v, %v", name, verified, err)
		}
	}
}

// Verify gives a sentence of its own for each defect of a Firebase token, and for each claim that
// Firebase's libraries check.
func TestVerifyFirebase(t *testing.T) {
	t.Parallel()
	m := newPress(t)
	for _, kind := range []token.Kind{token.KindFirebase, token.KindFirebaseSession} {
		issuer := "https://securetoken.google.com/"
		if kind == token.KindFirebaseSession {
			issuer = "https://session.firebase.google.com/"
		}
		for defect, want := range map[string]string{
			"":               ``,
			"expired":        `the token expired at 2026-11-21T11:00:00Z, 1h0m0s ago`,
			"not-yet-valid":  `the token is not valid before 2026-11-21T13:00:00Z, in 1h0m0s`,
			"wrong-issuer":   `the issuer is "https://wrong-issuer.example.com", not "` + issuer + `" and the ID of a project`,
			"wrong-audience": `the token is for "https://wrong-audience.example.com", not for "my-project", the project of its issuer`,
			"unknown-key":    `but this emulator has not published a key with that ID`,
			"tampered":       `the token was changed after it was signed`,
			"alg-none":       `the token is not signed: its header says alg "none"`,
			"revoked":        `the token was revoked`,
		} {
			m.checkReason(t, m.firebase(t, token.Order{Kind: kind, Defect: token.Defect(defect)}), token.Demand{}, want)
		}
		for _, test := range []struct {
			claims map[string]any
			demand token.Demand
			want   string
		}{
			{map[string]any{"iss": issuer}, token.Demand{}, `not "` + issuer + `" and the ID of a project`},
			{map[string]any{"sub": ""}, token.Demand{}, `the subject is "", but the ID of a Firebase user has 1 to 128 characters`},
			{map[string]any{"auth_time": m.now.Unix() + 60}, token.Demand{}, `the token is not valid before 2026-11-21T12:01:00Z, in 1m0s`},
			{map[string]any{"email": "x@y.z", "email_verified": false}, token.Demand{}, ``},
			{map[string]any{"email": "x@y.z", "email_verified": false}, token.Demand{Email: "x@y.z"}, `does not say that the e-mail address "x@y.z" is verified`},
			{nil, token.Demand{Audience: "other"}, `the token is for "my-project", not for "other"`},
		} {
			m.checkReason(t, m.firebase(t, token.Order{Kind: kind, Claims: test.claims}), test.demand, test.want)
		}
	}
}

// checkReason checks that a token is refused with a reason that contains want, or accepted if
// want is empty.
func (m *press) checkReason(t *testing.T, text string, demand token.Demand, want string) {
	t.Helper()
	_, err := m.Verify(t.Context(), m.world, text, demand)
	if want == "" && err == nil {
		return
	}
	if err == nil || want == "" || !strings.Contains(err.Error(), want) {
		t.Errorf("refused with %v, want %q", err, want)
	}
}

// A key of one set does not vouch for a token of another issuer.
func TestFirebaseKeysAreApart(t *testing.T) {
	t.Parallel()
	m := newPress(t)
	m.checkReason(t, m.firebase(t, token.Order{Kind: token.KindFirebase, Claims: map[string]any{"iss": "https://session.firebase.google.com/my-project"}}),
		token.Demand{}, `not "https://securetoken.google.com/"`)
	m.checkReason(t, m.firebase(t, token.Order{Kind: token.KindFirebaseSession, Claims: map[string]any{"iss": token.IssuerURL}}),
		token.Demand{}, `not "https://session.firebase.google.com/"`)
	m.checkReason(t, m.id(t, map[string]any{"iss": "https://securetoken.google.com/my-project", "aud": "my-project"}),
		token.Demand{}, `the issuer is "https://securetoken.google.com/my-project"`)
}

// Verify checks a custom token as Firebase does before it signs a user in.
func TestVerifyCustomToken(t *testing.T) {
	t.Parallel()
	m := newPress(t)
	const audience = "https://identitytoolkit.googleapis.com/google.identity.identitytoolkit.v1.IdentityToolkit"
	for name, test := range map[string]struct {
		claims map[string]any
		want   string
	}{
		"valid":              {nil, ``},
		"developer's claims": {map[string]any{"claims": map[string]any{"role": "admin"}}, ``},
		"no uid":             {map[string]any{"uid": nil}, `the claim uid of a Firebase custom token is "", but it must have 1 to 128 characters`},
		"long uid":           {map[string]any{"uid": strings.Repeat("x", 129)}, `1 to 128 characters`},
		"no issuer":          {map[string]any{"iss": nil}, `the claim iss of a Firebase custom token is "", not the e-mail address of its signer`},
		"another subject":    {map[string]any{"sub": "u1"}, `the claim sub of a Firebase custom token is "u1", not the e-mail address of its signer`},
		"more than an hour":  {map[string]any{"exp": m.now.Unix() + 3601}, `the claims iat and exp, at most an hour apart`},
		"no exp":             {map[string]any{"exp": nil}, `the token does not say when it expires`},
		"claims are a list":  {map[string]any{"claims": []any{}}, `the claim claims of a Firebase custom token is not an object`},
		"a reserved claim":   {map[string]any{"claims": map[string]any{"firebase": 1}}, `include "firebase", a reserved name`},
	} {
		claims := map[string]any{"aud": audience, "uid": "u1"}
		maps.Copy(claims, test.claims)
		text := m.jwt(t, claims)
		verified, err := m.Verify(t.Context(), m.world, text, token.Demand{})
		if test.want == "" && (err != nil || verified.Kind != token.KindFirebaseCustom || verified.Principal.Email != owner) {
			t.Errorf("%s: Verify = %+v, %v", name, verified, err)
		}
		m.checkReason(t, text, token.Demand{}, test.want)
	}
}

func TestFirebaseOrders(t *testing.T) {
	t.Parallel()
	m := newPress(t)
	who := iam.Principal{Kind: iam.KindUser, ID: "3", Email: "dev@example.com"}
	for _, test := range []struct {
		order token.Order
		want  string
	}{
		{token.Order{Kind: token.KindFirebase}, `a Firebase token needs a user, with an ID of up to 128 characters`},
		{token.Order{Kind: token.KindFirebase, User: strings.Repeat("x", 129)}, `a Firebase token needs a user, with an ID of up to 128 characters`},
		{token.Order{Kind: token.KindFirebase, User: "u1", Principal: who}, `a Firebase token is for a user of Firebase, not for "user:dev@example.com"`},
		{token.Order{Kind: token.KindFirebase, User: "u1", Audience: "p"}, `the audience of a Firebase token is its project; name a project instead`},
		{token.Order{Kind: token.KindFirebase, User: "u1", Scopes: []string{"s"}}, `a Firebase token has no scopes`},
		{token.Order{Kind: token.KindFirebase, User: "u1", Lifetime: 13 * time.Hour}, `lifetime 13h0m0s is not a number of seconds up to 12h`},
		{token.Order{Kind: token.KindFirebaseSession, User: "u1", Lifetime: 337 * time.Hour}, `lifetime 337h0m0s is not a number of seconds up to 336h`},
		{token.Order{Kind: token.KindFirebase, User: "u1", Defect: token.MissingEmail}, `a token of kind "firebase" cannot have defect "missing-email"`},
		{token.Order{Kind: token.KindID, Audience: "x", Principal: who, User: "u1"}, `only a Firebase token has a user and a project`},
		{token.Order{Kind: token.KindFirebaseCustom, User: "u1"}, `unknown kind of token "firebase-custom"`},
	} {
		if _, err := m.Mint(t.Context(), m.world, test.order); err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%+v: %v, want %q", test.order, err, test.want)
		}
	}
}
