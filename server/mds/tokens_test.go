package mds_test

import (
	"maps"
	"net/http"
	"sync"
	"testing"

	"gcp-metadata-emulator/server/emulatortest"
)

// The claims of each kind of ID token.
func TestIDTokens(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	const (
		identity = emulatortest.AttachedPath + "default/identity?audience=https://a.example.com%3Fb%3D1"
		audience = "https://a.example.com?b=1"
	)
	computeEngine := map[string]any{
		"instance_creation_timestamp": 1767225600.0, "instance_id": "6770654561797697182", "instance_name": "demo-vm",
		"project_id": "demo-project", "project_number": 123456789012.0, "zone": "us-central1-a",
	}
	licensed := map[string]any{"license_id": []any{"2147286739765738111"}}
	maps.Copy(licensed, computeEngine)
	for query, want := range map[string]map[string]any{
		"":                               {},
		"&format=standard&licenses=TRUE": {},
		"&format=full&licenses=FALSE": {
			"email": emulatortest.Default, "email_verified": true, "google": map[string]any{"compute_engine": computeEngine},
		},
		"&format=full&licenses=TRUE": {
			"email": emulatortest.Default, "email_verified": true, "google": map[string]any{"compute_engine": licensed},
		},
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			want["aud"], want["azp"], want["sub"] = audience, emulatortest.DefaultID, emulatortest.DefaultID
			e.CheckIDToken(t, e.Call(t, http.MethodGet, identity+query, ""), want)
		})
	}
}

// The metadata server returns the same token to any number of concurrent clients.
func TestTokensAreCached(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	for _, path := range []string{
		"default/token", "default/identity?audience=x", "default/identity?audience=x&format=full",
	} {
		const count = 20
		got := make([]string, count)
		var group sync.WaitGroup
		for i := range count {
			group.Go(func() { got[i] = e.Call(t, "GET", emulatortest.AttachedPath+path, "") })
		}
		group.Wait()
		for i := range got {
			if got[i] != got[0] {
				t.Errorf("%s: answers %d and 0 differ", path, i)
			}
		}
	}
	// The alias and the e-mail address name the same account.
	if e.Call(t, "GET", emulatortest.AttachedPath+"default/token", "") !=
		e.Call(t, "GET", emulatortest.AttachedPath+emulatortest.Default+"/token", "") {
		t.Error("the account has a different token under its e-mail address")
	}
}

// After a rotation, the metadata server signs identities with the new active key.
func TestCachedIdentityFollowsRotation(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	identity := func() string {
		return e.Call(t, http.MethodGet, emulatortest.AttachedPath+"default/identity?audience=x", "")
	}
	before := identity()
	e.Call(t, http.MethodPost, "/emulator/v1/keys:rotate", `{"keep":0}`)
	after := identity()
	published := e.JWKS(t, "/oauth2/v3/certs")
	if _, err := published.Verify(before); err == nil {
		t.Error("the retired key is still published")
	}
	if _, err := published.Verify(after); err != nil {
		t.Errorf("after a rotation the identity does not verify: %v", err)
	}
	if again := identity(); again != after {
		t.Error("the new identity is not cached")
	}
}
