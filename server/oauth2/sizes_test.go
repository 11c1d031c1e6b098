package oauth2_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/quick"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/oauthapi"
)

// openWorld has no list of OAuth clients, so it accepts any client and any redirect URI on this
// machine.
const openWorld = `
serviceAccounts: [{email: ` + worker + `, uniqueId: "` + workerID + `"}]
users: [{email: "%s@example.com", uniqueId: "200000000000000000001"}]
`

func manyScopes(count int) string {
	var scopes strings.Builder
	for i := range count {
		fmt.Fprintf(&scopes, " https://www.googleapis.com/auth/rare.scope.%d", i)
	}
	return strings.TrimSpace(scopes.String())
}

// checkSizes checks that the tokens in an answer are at most as long as Google says, and good.
func (r *rig) checkSizes(t *testing.T, got answer, scope string) {
	t.Helper()
	access, refresh := got.text("access_token"), got.text("refresh_token")
	if got.status != http.StatusOK || got.text("scope") != scope || len(access) > 2048 || len(refresh) > 512 {
		t.Errorf("status %d, an access token of %d bytes, a refresh token of %d: %.500s", got.status, len(access), len(refresh), got.body)
	}
	if granted, err := r.issuer.Recognise(access); err != nil || strings.Join(granted.Scopes, " ") != scope {
		t.Errorf("the access token has %d scopes, %v", len(granted.Scopes), err)
	}
}

// Whatever is asked for, codes and tokens are at most as long as Google says that they can be.
func TestSizes(t *testing.T) {
	t.Parallel()
	const usual = "https://www.googleapis.com/auth/drive"
	hash := strings.Repeat("0123456789abcdef", 4)
	for name, test := range map[string]struct{ scope, client, redirectURI, nonce, email string }{
		"usual":             {usual, "1-a.apps.googleusercontent.com", "http://localhost/", "", "dev"},
		"with a nonce":      {usual, strings.Repeat("c", 72), "http://localhost/", hash, "dev"},
		"many scopes":       {manyScopes(300), "app", "http://localhost/", hash, "dev"},
		"long nonce":        {usual, "app", "http://localhost/", strings.Repeat(hash, 20), "dev"},
		"long redirect URI": {usual, "app", "http://localhost/" + strings.Repeat("x", 2000), hash, "dev"},
		"long client":       {usual, strings.Repeat("c", 3000), "http://localhost/", hash, "dev"},
		"long address":      {manyScopes(30), "app", "http://localhost/", hash, strings.Repeat("x", 64)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, fmt.Sprintf(openWorld, test.email))
			back := r.authorize(t, "client_id", test.client, "scope", test.scope, "redirect_uri", test.redirectURI, "nonce", test.nonce,
				"code_challenge", s256Challenge, "code_challenge_method", "S256")
			if code := back.Get("code"); len(code) > 256 {
				t.Errorf("a code of %d bytes", len(code))
			}
			got := r.token(t, exchange(back.Get("code"), "client_id", test.client, "redirect_uri", test.redirectURI, "code_verifier", verifier))
			r.checkSizes(t, got, test.scope)
			refreshed := r.token(t, values("grant_type", oauthapi.GrantTypeRefreshToken, "client_id", test.client, "refresh_token", got.text("refresh_token")))
			r.checkSizes(t, refreshed, test.scope)
			if id := got.text("id_token"); id != "" && claims(t, id)["nonce"] != test.nonce {
				t.Errorf("the nonce is %v", claims(t, id)["nonce"])
			}
		})
	}
}

// A long nonce comes back whole.
func TestLongNonce(t *testing.T) {
	t.Parallel()
	r := newRig(t, registered)
	for _, size := range []int{0, 1, 64, 65, 5000} {
		nonce := strings.Repeat("n", size)
		back := r.authorize(t, "nonce", nonce)
		said := claims(t, r.token(t, exchange(back.Get("code"))).text("id_token"))
		if got, _ := said["nonce"].(string); got != nonce || len(back.Get("code")) > 256 {
			t.Errorf("a nonce of %d bytes comes back with %d, in a code of %d", size, len(got), len(back.Get("code")))
		}
	}
}

func TestSizesOfAnyCode(t *testing.T) {
	t.Parallel()
	r := newRig(t, fmt.Sprintf(openWorld, "dev"))
	property := func(client, nonce, path, challenge string, scopes []string) bool {
		client = "c" + client
		for i, name := range scopes {
			scopes[i] = "https://www.googleapis.com/auth/x" + url.QueryEscape(name)
		}
		uri := "http://localhost/" + url.QueryEscape(path)
		back := r.authorize(t, "client_id", client, "nonce", nonce, "redirect_uri", uri, "scope", strings.Join(append(scopes, "openid"), " "), "code_challenge", challenge)
		got := r.token(t, exchange(back.Get("code"), "client_id", client, "redirect_uri", uri, "code_verifier", challenge))
		r.checkSizes(t, got, back.Get("scope"))
		said, _ := claims(t, got.text("id_token"))["nonce"].(string)
		if diff := cmp.Diff(nonce, said); diff != "" || len(back.Get("code")) > 256 {
			t.Errorf("a code of %d bytes; nonce (-want +got):\n%s", len(back.Get("code")), diff)
		}
		return !t.Failed()
	}
	if err := quick.Check(property, &quick.Config{MaxCount: 50}); err != nil {
		t.Error(err)
	}
}

// The other grants of the token endpoint keep to the limits too.
func TestSizesOfOtherGrants(t *testing.T) {
	t.Parallel()
	r := newRig(t, fmt.Sprintf(openWorld, "dev"))
	scope := manyScopes(300)
	byAssertion := r.token(t, values("grant_type", oauthapi.GrantTypeJWTBearer, "assertion", r.assertion(t, map[string]any{"scope": scope})))
	if access := byAssertion.text("access_token"); access == "" || len(access) > 2048 {
		t.Errorf("an access token of %d bytes for an assertion: %s", len(access), byAssertion.body)
	}
	asked := serve(t, r.DeviceCode, formRequest("/device/code", values("client_id", "app", "scope", scope)))
	approval := formRequest("/device", values("user_code", asked.text("user_code"), "user", "dev@example.com"))
	if got := serve(t, r.Device, approval); got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.body)
	}
	r.time = r.time.Add(5 * time.Second)
	r.checkSizes(t, r.token(t, poll(asked.text("device_code"))), scope)
}
