package oauth2_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world"
)

const (
	emailScope   = "https://www.googleapis.com/auth/userinfo.email"
	profileScope = "https://www.googleapis.com/auth/userinfo.profile"
	callback     = "https://app.example.com/cb"
	secret       = "s3 cret%"
)

func (r *rig) refresh(t testing.TB, granted token.Grant) string {
	t.Helper()
	text, err := r.issuer.Refresh(granted)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Each row has a wrong client or refresh token, and expects the error text of Google's server.
func TestRefusedRefreshes(t *testing.T) {
	t.Parallel()
	r := newRig(t, registered)
	dev := r.dev(t)
	good := r.refresh(t, token.ForUser(dev, "app", []string{platform, "openid"}))
	revoked := r.refresh(t, token.ForUser(dev, "app", []string{platform}))
	if err := r.issuer.Revoke(t.Context(), revoked); err != nil {
		t.Fatal(err)
	}
	deleted := r.refresh(t, token.ForUser(&world.User{Email: "x@example.com", UniqueID: "7"}, "app", []string{platform}))
	federated := r.refresh(t, token.Grant{Principal: iam.Principal{Kind: iam.KindFederated, ID: "x"}, Client: "app"})
	app := []string{"client_id", "app", "client_secret", secret}
	for _, test := range []struct {
		name              string
		form              []string
		status            int
		code, description string
	}{
		{"no client", []string{"refresh_token", good}, 400, "invalid_request", "Could not determine client ID from request."},
		{"unknown client", []string{"client_id", "x", "refresh_token", good}, 401, "invalid_client", "The OAuth client was not found."},
		{"no secret", []string{"client_id", "app", "refresh_token", good}, 400, "invalid_request", "client_secret is missing."},
		{"wrong secret", []string{"client_id", "app", "client_secret", "x", "refresh_token", good}, 401, "invalid_client", "Unauthorized"},
		{"the client before the token", []string{"client_id", "app", "client_secret", "x"}, 401, "invalid_client", "Unauthorized"},
		{"no token", app, 400, "invalid_request", "Missing required parameter: refresh_token"},
		{"unknown token", append(app, "refresh_token", "1//0x"), 400, "invalid_grant", "Bad Request"},
		{"revoked token", append(app, "refresh_token", revoked), 400, "invalid_grant", "Token has been expired or revoked."},
		{"token of a user who is gone", append(app, "refresh_token", deleted), 400, "invalid_grant", "Account has been deleted"},
		{"token of no user", append(app, "refresh_token", federated), 400, "invalid_grant", "Bad Request"},
		{"token of another client", []string{"client_id", "public", "refresh_token", good}, 401, "unauthorized_client", "Unauthorized"},
		{"wider scope", append(app, "refresh_token", good, "scope", platform+" "+drive), 400, "invalid_scope", "Bad Request"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := r.token(t, values(append([]string{"grant_type", oauthapi.GrantTypeRefreshToken}, test.form...)...))
			if got.status != test.status || got.text("error") != test.code || got.text("error_description") != test.description {
				t.Errorf("%d %s, want %d %s: %s", got.status, got.body, test.status, test.code, test.description)
			}
		})
	}
}

// Clients may also authenticate with HTTP Basic, with or without the encoding of RFC 6749.
func TestBasicAuthentication(t *testing.T) {
	t.Parallel()
	r := newRig(t, registered)
	good := r.refresh(t, token.ForUser(r.dev(t), "app", []string{platform}))
	for password, want := range map[string]int{url.QueryEscape(secret): 200, secret: 200, "x": 401, "": 400} {
		request := formRequest("/token", values("grant_type", oauthapi.GrantTypeRefreshToken, "refresh_token", good))
		request.SetBasicAuth("app", password)
		if got := serve(t, r.Token, request); got.status != want {
			t.Errorf("password %q: %d %s, want %d", password, got.status, got.body, want)
		}
	}
}

// The scopes decide the claims of an ID token; the request decides its audience.
func TestRefreshedIDToken(t *testing.T) {
	t.Parallel()
	r := newRig(t, fixture)
	granted := token.ForUser(r.dev(t), "app", []string{platform, "openid", emailScope, profileScope})
	base := []string{"grant_type", oauthapi.GrantTypeRefreshToken, "client_id", "app", "refresh_token", r.refresh(t, granted)}
	for _, test := range []struct {
		name, scope, audience string
		want                  map[string]any
	}{
		{"everything", "", "", map[string]any{
			"aud": "app", "email": "dev@example.com", "email_verified": true, "name": "Dev Example", "given_name": "Dev", "family_name": "Example",
		}},
		{"openid alone", "openid", "", map[string]any{"aud": "app"}},
		{"for a service", platform + " email", "https://service.example.com", map[string]any{
			"aud": "https://service.example.com", "email": "dev@example.com", "email_verified": true,
		}},
		{"without openid", platform, "", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := r.token(t, values(append(base, "scope", test.scope, "target_audience", test.audience)...))
			if test.want == nil {
				if got.text("access_token") == "" || got.text("id_token") != "" {
					t.Errorf("%d %s, want no ID token", got.status, got.body)
				}
				return
			}
			said := claims(t, got.text("id_token"))
			test.want["azp"], test.want["sub"], test.want["iss"] = "app", "200000000000000000001", "https://accounts.google.com"
			test.want["iat"], test.want["exp"] = float64(r.time.Unix()), float64(r.time.Unix()+3600)
			test.want["at_hash"] = token.AccessTokenHash(got.text("access_token"))
			if diff := cmp.Diff(test.want, said); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
			if got.text("refresh_token") != "" {
				t.Error("another refresh token")
			}
		})
	}
}

// Revoking one token of a session revokes the others.
func TestRevokedSession(t *testing.T) {
	t.Parallel()
	r := newRig(t, fixture)
	refresh := r.refresh(t, token.ForUser(r.dev(t), "app", []string{platform}))
	form := values("grant_type", oauthapi.GrantTypeRefreshToken, "client_id", "app", "refresh_token", refresh)
	access := r.token(t, form).text("access_token")
	if got := serve(t, r.Revoke, formRequest("/revoke", values("token", access))); got.status != http.StatusOK || got.body != "{}\n" {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if got := r.token(t, form); got.text("error_description") != "Token has been expired or revoked." {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := serve(t, r.Revoke, formRequest("/revoke", values("token", refresh))); got.text("error") != "invalid_token" {
		t.Errorf("revoked again: %d %s", got.status, got.body)
	}
}

// authorize requests a code as a program does, and returns the parameters sent to the redirect
// URI.
func (r *rig) authorize(t testing.TB, pairs ...string) url.Values {
	t.Helper()
	query := with(values("client_id", "app", "redirect_uri", callback, "response_type", "code", "scope", "openid email", "access_type", "offline"), pairs...)
	request := formRequest("/o/oauth2/v2/auth?"+query.Encode(), nil)
	request.Method = http.MethodGet
	got := serve(t, r.Authorize, request)
	location, err := url.Parse(got.header.Get("Location"))
	if err != nil || got.status != http.StatusFound || !strings.HasPrefix(location.String(), query.Get("redirect_uri")+"?") {
		t.Fatalf("%d, to %q: %s", got.status, location, got.body)
	}
	return location.Query()
}

func exchange(code string, pairs ...string) url.Values {
	return with(values("grant_type", oauthapi.GrantTypeAuthorizationCode, "client_id", "app", "client_secret", secret,
		"redirect_uri", callback, "code", code), pairs...)
}

func TestAuthorizationCode(t *testing.T) {
	t.Parallel()
	r := newRig(t, registered)
	back := r.authorize(t, "state", "a&b", "nonce", "n-1", "login_hint", "ops@example.com", "scope", "email profile "+drive)
	scope := emailScope + " " + profileScope + " " + drive + " openid"
	if back.Get("state") != "a&b" || back.Get("scope") != scope || !strings.HasPrefix(back.Get("code"), "4/0") {
		t.Fatalf("answer %v", back)
	}
	got := r.token(t, exchange(back.Get("code")))
	if got.status != http.StatusOK || got.text("scope") != scope || got.text("token_type") != "Bearer" || !strings.HasPrefix(got.text("refresh_token"), "1//0") {
		t.Fatalf("%d %s", got.status, got.body)
	}
	said := claims(t, got.text("id_token"))
	if said["nonce"] != "n-1" || said["email"] != "ops@example.com" || said["aud"] != "app" || said["azp"] != "app" {
		t.Errorf("claims %v", said)
	}
	access, err := r.issuer.Recognise(got.text("access_token"))
	if err != nil || access.Principal.Email != "ops@example.com" || access.Client != "app" || !access.Offline {
		t.Errorf("the access token is %+v, %v", access, err)
	}
	form := values("grant_type", oauthapi.GrantTypeRefreshToken, "client_id", "app", "client_secret", secret, "refresh_token", got.text("refresh_token"))
	if again := r.token(t, form); again.status != http.StatusOK || again.text("scope") != scope {
		t.Errorf("refreshed: %d %s", again.status, again.body)
	}

	// A second use counts as theft: it fails, and revokes the tokens of the first use.
	if again := r.token(t, exchange(back.Get("code"))); again.text("error") != "invalid_grant" {
		t.Errorf("used again: %d %s", again.status, again.body)
	}
	if _, err := r.issuer.Recognise(got.text("access_token")); !errors.Is(err, token.ErrRevoked) {
		t.Errorf("the access token is good after the code was used again: %v", err)
	}
	if again := r.token(t, form); again.text("error_description") != "Token has been expired or revoked." {
		t.Errorf("the refresh token is good after the code was used again: %d %s", again.status, again.body)
	}
}

// However many codes are exchanged after it, a code stays spent.
func TestCodeOutlivesTheMemoryForIt(t *testing.T) {
	t.Parallel()
	r := newRig(t, registered)
	code := func() string { return r.authorize(t, "scope", drive, "access_type", "online").Get("code") }
	first := code()
	tokens := r.token(t, exchange(first))
	if tokens.status != http.StatusOK {
		t.Fatalf("%d %s", tokens.status, tokens.body)
	}
	const more = 1<<12 + 100
	for range more {
		if got := r.token(t, exchange(code())); got.status != http.StatusOK {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	if again := r.token(t, exchange(first)); again.text("error") != "invalid_grant" {
		t.Errorf("used again: %d %s", again.status, again.body)
	}
	if _, err := r.issuer.Recognise(tokens.text("access_token")); !errors.Is(err, token.ErrRevoked) {
		t.Errorf("the access token is good after the code was used again: %v", err)
	}
}

func TestOnlineCode(t *testing.T) {
	t.Parallel()
	r := newRig(t, registered)
	got := r.token(t, exchange(r.authorize(t, "access_type", "online").Get("code")))
	if got.status != http.StatusOK || got.text("refresh_token") != "" {
		t.Errorf("%d %s, want no refresh token", got.status, got.body)
	}
}

// The verifier and S256 challenge of RFC 7636, appendix B.
const (
	verifier      = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	s256Challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

func TestRefusedCodes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name              string
		ask, redeem       []string
		later             time.Duration
		code, description string
	}{
		{"S256", []string{"code_challenge", s256Challenge, "code_challenge_method", "S256"}, []string{"code_verifier", verifier}, 0, "", ""},
		{"plain", []string{"code_challenge", verifier, "code_challenge_method", "plain"}, []string{"code_verifier", verifier}, 0, "", ""},
		{"plain, by default", []string{"code_challenge", verifier}, []string{"code_verifier", verifier}, 0, "", ""},
		{"just in time", nil, nil, 10*time.Minute - time.Second, "", ""},
		{"too late", nil, nil, 10 * time.Minute, "invalid_grant", "Bad Request"},
		{"no verifier", []string{"code_challenge", s256Challenge, "code_challenge_method", "S256"}, nil, 0, "invalid_grant", "Missing code verifier."},
		{"another verifier", []string{"code_challenge", s256Challenge, "code_challenge_method", "S256"}, []string{"code_verifier", "x"}, 0, "invalid_grant", "Invalid code verifier."},
		{"the challenge as verifier", []string{"code_challenge", s256Challenge, "code_challenge_method", "S256"}, []string{"code_verifier", s256Challenge}, 0, "invalid_grant", "Invalid code verifier."},
		{"a verifier for nothing", nil, []string{"code_verifier", verifier}, 0, "invalid_grant", "code_verifier or verifier is not needed."},
		{"another redirect URI", nil, []string{"redirect_uri", callback + "/"}, 0, "redirect_uri_mismatch", "Bad Request"},
		{"no redirect URI", nil, []string{"redirect_uri", ""}, 0, "redirect_uri_mismatch", "Bad Request"},
		{"another client", nil, []string{"client_id", "public"}, 0, "invalid_grant", "Bad Request"},
		{"no code", nil, []string{"code", ""}, 0, "invalid_request", "Missing required parameter: code"},
		{"a code that is none", nil, []string{"code", "4/0x"}, 0, "invalid_grant", "Malformed auth code."},
		{"no secret", nil, []string{"client_secret", ""}, 0, "invalid_request", "client_secret is missing."},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, registered)
			code := r.authorize(t, test.ask...).Get("code")
			r.time = r.time.Add(test.later)
			got := r.token(t, exchange(code, test.redeem...))
			if got.text("error") != test.code || got.text("error_description") != test.description {
				t.Errorf("%d %s, want %q: %q", got.status, got.body, test.code, test.description)
			}
			if test.code == "" || test.later > 0 {
				return
			}
			// A refused exchange must not spend the code.
			good := exchange(code)
			if len(test.ask) > 0 {
				good.Set("code_verifier", verifier)
			}
			if got := r.token(t, good); got.status != http.StatusOK {
				t.Errorf("afterwards: %d %s", got.status, got.body)
			}
		})
	}
}

// A public client may register a redirect URI with its own scheme.
func TestPrivateUseScheme(t *testing.T) {
	t.Parallel()
	r := newRig(t, registered)
	back := r.authorize(t, "client_id", "public", "redirect_uri", "com.example.app:/cb")
	got := r.token(t, exchange(back.Get("code"), "client_id", "public", "client_secret", "", "redirect_uri", "com.example.app:/cb"))
	if got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// No answer is sent to a redirect URI that the client has not registered.
func TestForeignRedirects(t *testing.T) {
	t.Parallel()
	r := newRig(t, registered)
	for _, uri := range []string{"https://app.example.com/cb?x=1", "http://localhost:8080/", "https://evil.example/", "urn:ietf:wg:oauth:2.0:oob"} {
		query := values("client_id", "app", "redirect_uri", uri, "response_type", "code", "scope", "openid")
		request := formRequest("/o/oauth2/v2/auth?"+query.Encode(), nil)
		request.Method = http.MethodGet
		got := serve(t, r.Authorize, request)
		if got.status != http.StatusBadRequest || got.header.Get("Location") != "" || !strings.Contains(got.body, "redirect_uri_mismatch") {
			t.Errorf("%s: %d, to %q", uri, got.status, got.header.Get("Location"))
		}
	}
}

// A fixture without users denies access.
func TestNobody(t *testing.T) {
	t.Parallel()
	r := newRig(t, "users: []")
	if back := r.authorize(t, "redirect_uri", "http://localhost/"); back.Get("error") != "access_denied" {
		t.Errorf("answer %v", back)
	}
}
