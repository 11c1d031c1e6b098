package token_test

import (
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/server/token"
)

// NotBearer names what makes a token unfit for an API, where Bearer only refuses it.
func TestNotBearer(t *testing.T) {
	t.Parallel()
	m := newPress(t)
	forAPI := "https://" + host + "/"
	for name, test := range map[string]struct {
		text, want string
	}{
		"ID token":      {m.order(t, owner, token.Order{Kind: token.KindID, Audience: forAPI}), `a token of kind "id" is not a bearer token`},
		"expired":       {m.order(t, owner, token.Order{Kind: token.KindJWT, Audience: forAPI, Defect: token.Expired}), "the token expired at "},
		"too long":      {m.order(t, owner, token.Order{Kind: token.KindJWT, Audience: forAPI, Lifetime: 12 * time.Hour}), "the JSON Web Token is valid for more than an hour"},
		"other API":     {m.order(t, owner, token.Order{Kind: token.KindJWT, Audience: "https://storage.googleapis.com/"}), `the JSON Web Token is for "https://storage.googleapis.com/", not for "` + forAPI + `"`},
		"other subject": {m.order(t, owner, token.Order{Kind: token.KindJWT, Audience: forAPI, Claims: map[string]any{"sub": "x"}}), `the issuer of the JSON Web Token is "` + owner + `", and its subject is "x"`},
		"garbage":       {"x", "the text is not an access token"},
	} {
		if _, err := m.Bearer(m.world, test.text, host); !token.IsRefusal(err) {
			t.Errorf("%s: Bearer: %v", name, err)
		}
		if got := m.NotBearer(t.Context(), m.world, test.text, host); !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
