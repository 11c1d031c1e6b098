package token_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/quick"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world/worldtest"
	"gcp-metadata-emulator/signer"
)

const auth = "https://www.googleapis.com/auth/"

// numbered returns different texts of a kind.
func numbered(format string, count int) []string {
	texts := make([]string, count)
	for i := range texts {
		texts[i] = fmt.Sprintf(format, i)
	}
	return texts
}

func grants() map[string]token.Grant {
	user := iam.Principal{Kind: iam.KindUser, ID: "100000000000000000001", Email: "dev@example.com"}
	long := user
	long.Email = strings.Repeat("x", 240) + "@example.com"
	federated := iam.Principal{
		Kind: iam.KindFederated, ID: "repo:octo-org/octo-repo:ref:refs/heads/main", Groups: numbered("group-%d@example.com", 200),
		Pool:       "projects/123456789012/locations/global/workloadIdentityPools/demo-pool",
		Attributes: map[string]string{"repository": "octo-org/octo-repo", "actor": strings.Repeat("a", 2000)},
	}
	return map[string]token.Grant{
		"nothing":        {Principal: user},
		"usual":          {Principal: user, Scopes: token.Scopes{"openid", auth + "userinfo.email", auth + "drive"}, Client: "1-a.apps.googleusercontent.com", Offline: true, Session: "s"},
		"rare scopes":    {Principal: user, Scopes: numbered(auth+"rare.scope.%d", 500), Session: "s"},
		"foreign scopes": {Principal: user, Scopes: numbered("https://mail.google.com/feeds/%d", 500)},
		"long address":   {Principal: long, Scopes: numbered("https://mail.google.com/feeds/%d", 40), Client: strings.Repeat("c", 1000)},
		"federated":      {Principal: federated, Scopes: token.Scopes{auth + "cloud-platform"}},
		"boundary":       {Principal: user, Boundary: json.RawMessage(`{"accessBoundaryRules":"` + strings.Repeat("x", 9000) + `"}`)},
		"invalid UTF-8":  {Principal: user, Scopes: token.Scopes{auth + "\xff", "https://mail.google.com/\xff"}, Client: "\xff"},
	}
}

// checkSizes issues an access token and a refresh token for a grant. Neither is longer than Google
// documents, and a replica reads the grant from both.
func checkSizes(t *testing.T, issuer, replica *token.Issuer, name string, grant token.Grant) {
	t.Helper()
	access, err := issuer.Access(t.Context(), grant, time.Hour)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	refresh, err := issuer.Refresh(grant)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if len(access.Text) > 2048 || len(refresh) > 512 {
		t.Errorf("%s: an access token of %d bytes, a refresh token of %d bytes", name, len(access.Text), len(refresh))
	}
	readAccess, err := replica.Recognise(access.Text)
	if err != nil {
		t.Errorf("%s: access token: %v", name, err)
	}
	readRefresh, err := replica.RecogniseRefresh(refresh)
	if err != nil {
		t.Errorf("%s: refresh token: %v", name, err)
	}
	grant.Scopes = iam.CanonicalScopes(grant.Scopes)
	for _, read := range []token.Grant{readAccess.Grant, readRefresh.Grant} {
		if diff := cmp.Diff(grant, read, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-granted +read):\n%s", name, diff)
		}
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	dir, clock := t.TempDir(), newClock()
	issuer := token.NewIssuer(keys.NewRing(dir, clock.now), clock.now)
	replica := token.NewIssuer(keys.NewRing(dir, clock.now), clock.now)
	for name, grant := range grants() {
		checkSizes(t, issuer, replica, name, grant)
	}
}

func TestSizesOfAnyGrant(t *testing.T) {
	t.Parallel()
	issuer, _ := newIssuer()
	property := func(id, email, pool, client string, scopes []string, attributes map[string]string) bool {
		checkSizes(t, issuer, issuer, "any", token.Grant{
			Principal: iam.Principal{Kind: iam.KindFederated, ID: id, Email: email, Pool: pool, Attributes: attributes},
			Scopes:    scopes, Client: client, Session: "s",
		})
		return !t.Failed()
	}
	if err := quick.Check(property, &quick.Config{MaxCount: 200}); err != nil {
		t.Error(err)
	}
}

// Tokens with the same grant share what the ring keeps.
func TestKeptGrantsAreShared(t *testing.T) {
	t.Parallel()
	dir, clock := t.TempDir(), newClock()
	issuer := token.NewIssuer(keys.NewRing(dir, clock.now), clock.now)
	grant := grants()["federated"]
	for i := range 20 {
		grant.Principal.Attributes[fmt.Sprintf("a%d", i)] = "x"
	}
	for range 10 {
		if _, err := issuer.Access(t.Context(), grant, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if files, err := os.ReadDir(filepath.Join(dir, "contents")); err != nil || len(files) != 1 {
		t.Errorf("%d files, %v; want 1", len(files), err)
	}
}

// Usual grants do not depend on anything that the ring keeps.
func TestUsualGrantsAreSelfContained(t *testing.T) {
	t.Parallel()
	dir, clock := t.TempDir(), newClock()
	ring := keys.NewRing(dir, clock.now)
	secret, err := ring.Secret()
	if err != nil {
		t.Fatal(err)
	}
	issuer := token.NewIssuer(ring, clock.now)
	usual := grants()["usual"]
	refresh, err := issuer.Refresh(usual)
	if err != nil {
		t.Fatal(err)
	}
	if content, err := opened(t, secret, "1//0", refresh); err != nil || !strings.Contains(content, "dev@example.com") {
		t.Errorf("the refresh token contains %q, %v", content, err)
	}
	rare, err := issuer.Refresh(grants()["rare scopes"])
	if err != nil {
		t.Fatal(err)
	}
	if content, err := opened(t, secret, "1//0", rare); err != nil || strings.Contains(content, "dev@example.com") {
		t.Errorf("a refresh token with 500 scopes contains %q, %v", content, err)
	}
}

func opened(t *testing.T, secret []byte, prefix, text string) (string, error) {
	t.Helper()
	sealer, err := signer.NewSealer(secret, prefix)
	if err != nil {
		t.Fatal(err)
	}
	content, err := sealer.Open(text)
	return string(content), err
}

// Content that another version of the emulator has sealed makes an unknown token, not a failure.
func TestOtherVersions(t *testing.T) {
	t.Parallel()
	clock := newClock()
	ring := worldtest.Ring(clock.now)
	issuer := token.NewIssuer(ring, clock.now)
	secret, err := ring.Secret()
	if err != nil {
		t.Fatal(err)
	}
	for prefix, recognise := range map[string]func(string) error{
		"ya29.c.": func(text string) error { _, err := issuer.Recognise(text); return err },
		"1//0":    func(text string) error { _, err := issuer.RecogniseRefresh(text); return err },
	} {
		sealer, err := signer.NewSealer(secret, prefix)
		if err != nil {
			t.Fatal(err)
		}
		for _, content := range []string{
			"", `{"who":{"kind":"user"},"scopes":[],"jti":"1","iat":1,"exp":2}`, "\x83\x80\x40\xf4", "\x83\x80\x43\x01\x02\x03\xf5",
			"\x83\x80\x50" + strings.Repeat("x", 16) + "\xf5", "\x83\x84\x60\x60\x00\x00\x44\xa1\x02\x81\x18\xf4",
		} {
			if err := recognise(sealer.Seal([]byte(content))); !errors.Is(err, token.ErrUnknown) {
				t.Errorf("%s with content %q: %v, want ErrUnknown", prefix, content, err)
			}
		}
	}
}
