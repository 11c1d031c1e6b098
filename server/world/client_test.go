package world_test

import (
	"testing"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/server/world/worldtest"
)

func TestOAuthClients(t *testing.T) {
	t.Parallel()
	open := worldtest.Parse(t, "")
	if client, ok := open.OAuthClient("anyone"); !ok || client.ID != "anyone" || !client.Accepts("") || !client.Accepts("x") {
		t.Errorf("a client, although none is registered: %+v, %v", client, ok)
	}
	if _, ok := open.OAuthClient(""); ok {
		t.Error("there is a client without an ID")
	}
	registered := worldtest.Parse(t, `
oauthClients:
  - {id: confidential, secret: s3cret, redirectUris: ["https://app.example.com/cb"]}
  - {id: public}
`)
	if _, ok := registered.OAuthClient("anyone"); ok {
		t.Error("a client that is not registered is known")
	}
	confidential, _ := registered.OAuthClient("confidential")
	for secret, want := range map[string]bool{"s3cret": true, "": false, "S3cret": false, "s3cret ": false} {
		if got := confidential.Accepts(secret); got != want {
			t.Errorf("Accepts(%q) = %v", secret, got)
		}
	}
	if public, ok := registered.OAuthClient("public"); !ok || !public.Accepts("") {
		t.Errorf("a public client: %+v, %v", public, ok)
	}
}

func TestMayRedirectTo(t *testing.T) {
	t.Parallel()
	unregistered := &world.OAuthClient{ID: "a"}
	for uri, want := range map[string]bool{
		"http://localhost:8085/":             true,
		"http://localhost":                   true,
		"http://127.0.0.1:1/cb?x=y":          true,
		"http://[::1]:1/cb":                  true,
		"https://app.localhost/cb":           true,
		"":                                   false,
		"/cb":                                false,
		"//localhost/cb":                     false,
		"localhost:8085":                     false,
		"http://example.com/":                false,
		"http://localhost.example.com/":      false,
		"http://localhost@example.com/":      false,
		"http://user@localhost/":             false,
		"http://localhost/#fragment":         false,
		"http://localhost/#":                 false,
		"javascript://localhost/%0aalert(1)": false,
		"http://localhost\\@example.com/":    false,
		"http://localhost\r\nX: y":           false,
		"http://0.0.0.0/":                    false,
	} {
		if got := unregistered.MayRedirectTo(uri); got != want {
			t.Errorf("MayRedirectTo(%q) = %v", uri, got)
		}
	}
	registered := &world.OAuthClient{ID: "a", RedirectURIs: []string{"https://app.example.com/cb"}}
	for uri, want := range map[string]bool{
		"https://app.example.com/cb":   true,
		"https://app.example.com/cb/":  false,
		"https://app.example.com/cb?x": false,
		"http://localhost/":            false,
	} {
		if got := registered.MayRedirectTo(uri); got != want {
			t.Errorf("MayRedirectTo(%q) = %v where another is registered", uri, got)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][2]string{
		"": {}, "Cher": {"Cher", ""}, "Dev Example": {"Dev", "Example"}, "Ada King  Lovelace": {"Ada King", "Lovelace"},
	} {
		given, family := (&world.User{Name: name}).Names()
		if given != want[0] || family != want[1] {
			t.Errorf("Names of %q = %q, %q", name, given, family)
		}
	}
}

func TestActsForUsers(t *testing.T) {
	t.Parallel()
	account := &world.ServiceAccount{DomainWideDelegation: []string{"a", "b", iam.EmailScope, "profile"}}
	for _, test := range []struct {
		scopes []string
		want   bool
	}{
		{[]string{"email"}, true}, {[]string{iam.EmailScope, iam.ProfileScope}, true}, {[]string{"a"}, true}, {[]string{"b", "a"}, true}, {[]string{"a", "c"}, false}, {nil, false},
	} {
		if got := account.ActsForUsers(test.scopes); got != test.want {
			t.Errorf("ActsForUsers(%q) = %v", test.scopes, got)
		}
	}
	if (&world.ServiceAccount{}).ActsForUsers([]string{"a"}) {
		t.Error("an account without delegation acts for users")
	}
}
