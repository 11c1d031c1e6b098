package tokeninfo_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/token"
)

// The endpoint does not describe a revoked token.
func TestRevokedTokens(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	e.CheckRevoked(t, token.Order{Kind: token.KindID, Audience: "x"}, "GET /tokeninfo?id_token=%s\n\n")
	e.CheckRevoked(t, token.Order{Kind: token.KindAccess}, "GET /tokeninfo?access_token=%s\n\n")
}

// A description that was given before is given again only for the same token, in the same form and in the
// same second.
func TestRepeatedDescriptions(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	mint := func(email string) string {
		account, _ := e.World().State.Account(email)
		order := token.Order{Kind: token.KindAccess, Principal: account.Principal(), Scopes: []string{"https://www.googleapis.com/auth/userinfo.email"}}
		return emulatortest.Must[token.Token](t)(e.Mint(t.Context(), order)).Text
	}
	first, second := mint(emulatortest.Worker), mint(emulatortest.Target)
	for _, test := range []struct {
		path, text, email string
		expiresIn         any
		passes            time.Duration
	}{
		{"/tokeninfo", first, emulatortest.Worker, "3600", 0},
		{"/tokeninfo", first, emulatortest.Worker, "3600", 0},
		{"/tokeninfo", second, emulatortest.Target, "3600", 0},
		{"/tokeninfo", first, emulatortest.Worker, "3600", 0},
		{"/oauth2/v1/tokeninfo", first, emulatortest.Worker, 3600.0, 0},
		{"/tokeninfo", first, emulatortest.Worker, "3599", time.Second},
		{"/oauth2/v1/tokeninfo", first, emulatortest.Worker, 3590.0, 9 * time.Second},
	} {
		if err := e.Clock.Advance(test.passes); err != nil {
			t.Fatal(err)
		}
		var got struct {
			Email     string `json:"email"`
			ExpiresIn any    `json:"expires_in"`
		}
		answer := emulatortest.Send(t.Context(), e.Server, http.MethodGet, test.path+"?access_token="+test.text, "")
		if err := json.Unmarshal(answer.Body.Bytes(), &got); err != nil || got.Email != test.email || got.ExpiresIn != test.expiresIn {
			t.Errorf("%s: %d %s, want %q and %v", test.path, answer.Code, answer.Body, test.email, test.expiresIn)
		}
	}
}
