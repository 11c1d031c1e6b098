package oauth2_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/oauthapi"
)

const (
	timeframe = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim."
	forbidden = "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes requested."
)

// Each row changes the claims of a valid assertion, and expects the error text of Google's
// server.
func TestRefusedAssertions(t *testing.T) {
	t.Parallel()
	r := newRig(t, fixture)
	now := r.time.Unix()
	for _, test := range []struct {
		name              string
		changes           map[string]any
		status            int
		code, description string
	}{
		{"no issuer", map[string]any{"iss": nil}, 400, "invalid_grant", "Invalid grant: account not found"},
		{"unknown issuer", map[string]any{"iss": "x@example.com"}, 400, "invalid_grant", "Invalid grant: account not found"},
		{"disabled issuer", map[string]any{"iss": "gone@demo-project.iam.gserviceaccount.com"}, 400, "invalid_grant", "Invalid grant: account not found"},
		{"issuer that is no text", map[string]any{"iss": 1}, 400, "invalid_grant", "Invalid grant: account not found"},
		{"no iat", map[string]any{"iat": nil}, 400, "invalid_grant", "Invalid JWT: iat (issued at) is not set."},
		{"no exp", map[string]any{"exp": nil}, 400, "invalid_grant", "Invalid JWT: exp (expiration time) is not set."},
		{"neither", map[string]any{"iat": nil, "exp": nil}, 400, "invalid_grant", "Invalid JWT: iat (issued at) is not set."},
		{"expired", map[string]any{"iat": now - 3601, "exp": now - 1}, 400, "invalid_grant", timeframe},
		{"two hours long", map[string]any{"exp": now + 7200}, 400, "invalid_grant", timeframe},
		{"two hours old", map[string]any{"iat": now - 7200, "exp": now}, 400, "invalid_grant", timeframe},
		{"too long", map[string]any{"exp": now + 3901}, 400, "invalid_grant", timeframe},
		{"in the future", map[string]any{"iat": now + 301, "exp": now + 600}, 400, "invalid_grant", timeframe},
		{"no scope", map[string]any{"scope": nil}, 400, "invalid_scope", "Invalid OAuth scope or ID token audience provided."},
		{"empty scope", map[string]any{"scope": " "}, 400, "invalid_scope", "Invalid OAuth scope or ID token audience provided."},
		{"a scope that is none", map[string]any{"scope": platform + " x"}, 400, "invalid_scope", "x is not a valid audience string."},
		{"no audience", map[string]any{"aud": nil}, 400, "invalid_grant", "Invalid JWT: Failed audience check."},
		{"another audience", map[string]any{"aud": "https://example.com/token"}, 400, "invalid_grant", "Invalid JWT: Failed audience check."},
		{"another port of the emulator's host", map[string]any{"aud": "http://localhost/token"}, 400, "invalid_grant", "Invalid JWT: Failed audience check."},
		{"another path of the emulator", map[string]any{"aud": "https://localhost:8443/v1/token"}, 400, "invalid_grant", "Invalid JWT: Failed audience check."},
		{"a query beside the emulator's address", map[string]any{"aud": "https://localhost:8443/token?x"}, 400, "invalid_grant", "Invalid JWT: Failed audience check."},
		{"a user beside the emulator's address", map[string]any{"aud": "https://x@localhost:8443/token"}, 400, "invalid_grant", "Invalid JWT: Failed audience check."},
		{"another scheme of the emulator's address", map[string]any{"aud": "ftp://localhost:8443/token"}, 400, "invalid_grant", "Invalid JWT: Failed audience check."},
		{"an audience that is not a URL", map[string]any{"aud": "http://[/token"}, 400, "invalid_grant", "Invalid JWT: Failed audience check."},
		{"two audiences", map[string]any{"aud": []string{endpoint, endpoint}}, 400, "invalid_grant", "Invalid JWT: Failed audience check."},
		{"the times before the scope", map[string]any{"exp": now - 1, "scope": nil}, 400, "invalid_grant", timeframe},
		{"the scope before the audience", map[string]any{"aud": nil, "scope": nil}, 400, "invalid_scope", "Invalid OAuth scope or ID token audience provided."},
		{"the audience before the subject", map[string]any{"aud": nil, "sub": "x"}, 400, "invalid_grant", "Invalid JWT: Failed audience check."},
		{"a user without the scope", map[string]any{"sub": "dev@example.com"}, 401, "unauthorized_client", forbidden},
		{"a user without one of the scopes", map[string]any{"sub": "dev@example.com", "scope": drive + " " + platform}, 401, "unauthorized_client", forbidden},
		{"a user's ID token", map[string]any{"sub": "dev@example.com", "target_audience": "x"}, 401, "unauthorized_client", forbidden},
		{"an unknown user", map[string]any{"sub": "x@example.com", "scope": drive}, 400, "invalid_grant", "Invalid email or User ID"},
		{"an unknown unique ID", map[string]any{"sub": "7", "scope": drive}, 400, "invalid_grant", "Invalid email or User ID"},
		{"no e-mail address", map[string]any{"sub": "dev", "scope": drive}, 400, "invalid_grant", "Not a valid email"},
		{"a subject that is no text", map[string]any{"sub": 1, "scope": drive}, 400, "invalid_grant", "Invalid email or User ID"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := r.token(t, values("grant_type", oauthapi.GrantTypeJWTBearer, "assertion", r.assertion(t, test.changes)))
			if got.status != test.status || got.text("error") != test.code || got.text("error_description") != test.description {
				t.Errorf("%d %s, want %d %s: %s", got.status, got.body, test.status, test.code, test.description)
			}
		})
	}
}

// Assertions as real client libraries write them.
func TestClientHabits(t *testing.T) {
	t.Parallel()
	r := newRig(t, fixture)
	now := r.time.Unix()
	claims := func(changes map[string]any) string { return r.assertion(t, changes) }
	plain, padded, standard := base64.RawURLEncoding, base64.URLEncoding, base64.StdEncoding
	tests := []struct {
		name, assertion string
	}{
		{"Go: its clock ten seconds back", claims(map[string]any{"iat": now - 10, "exp": now + 3590})},
		{"PHP: its clock a minute back, an hour from now", claims(map[string]any{"iat": now - 60, "exp": now + 3600})},
		{"Go: an empty scope beside target_audience", claims(map[string]any{"scope": "", "target_audience": "x"})},
		{"Go: a subject under both names", claims(map[string]any{"sub": "dev@example.com", "prn": "dev@example.com", "scope": drive})},
		{"Go: a private claim", claims(map[string]any{"private": map[string]any{"a": []int{1}}})},
		{"Vault: the older audience, and no key ID", r.resigned(t, claims(map[string]any{"aud": "https://accounts.google.com/o/oauth2/token"}), `{"alg":"RS256","typ":"JWT"}`, plain)},
		{"Node 9: nothing but the algorithm", r.resigned(t, claims(map[string]any{"aud": "https://www.googleapis.com/oauth2/v4/token"}), `{"alg":"RS256"}`, plain)},
		{"Ruby: a short time, its clock back", r.resigned(t, claims(map[string]any{"iat": now - 60, "exp": now + 60}), `{"alg":"RS256"}`, plain)},
		{"Python, Java: another audience than the URL", claims(nil)},
		{".NET: itself as the subject", claims(map[string]any{"sub": worker})},
		{".NET: itself by unique ID", claims(map[string]any{"iss": workerID, "sub": workerID})},
		{"Rust: padding, no key ID, no subject", r.resigned(t, claims(map[string]any{"sub": json.RawMessage("null")}), `{"alg":"RS256","typ":"JWT"}`, padded)},
		{"GDAL, shell scripts: the standard alphabet", r.resigned(t, claims(map[string]any{"private": ">>>???>>>???"}), `{"alg":"RS256","typ":"JWT"}`, standard)},
		{"shell scripts: white space around it", " \r\n\t" + claims(nil) + "\n"},
		{"C++, Rust: the URL of the request as audience", claims(map[string]any{"aud": "http://127.0.0.1:8254/token"})},
		{"another address of the emulator", claims(map[string]any{"aud": "https://LocalHost:8443/oauth2/v4/token"})},
		{"the usual port of another address", claims(map[string]any{"aud": "https://localhost/token"})},
		{"a list of one audience", claims(map[string]any{"aud": []string{endpoint}})},
		{"digits as text", claims(map[string]any{"iat": strconv.FormatInt(now, 10), "exp": strconv.FormatInt(now+60, 10)})},
		{"fractions of a second", claims(map[string]any{"iat": json.RawMessage(strconv.FormatInt(now, 10) + ".25")})},
		{"five minutes ahead", claims(map[string]any{"iat": now + 300, "exp": now + 3900})},
		{"an hour old to the second", claims(map[string]any{"iat": now - 3600, "exp": now})},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := r.token(t, values("grant_type", oauthapi.GrantTypeJWTBearer, "assertion", test.assertion))
			if got.status != http.StatusOK || got.text("access_token") == "" && got.text("id_token") == "" {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
}

// Content types, grant types and malformed assertions.
func TestBodies(t *testing.T) {
	t.Parallel()
	r := newRig(t, fixture)
	form := values("grant_type", oauthapi.GrantTypeJWTBearer, "assertion", r.assertion(t, nil)).Encode()
	object := `{"grant_type":"` + oauthapi.GrantTypeJWTBearer + `","assertion":"` + r.assertion(t, nil) + `"}`
	const (
		jwtBearer   = "grant_type=" + oauthapi.GrantTypeJWTBearer
		unsupported = "unsupported_grant_type"
		invalid     = "invalid_request"
	)
	for _, test := range []struct{ name, contentType, body, code, description string }{
		{"form", "application/x-www-form-urlencoded", form, "", ""},
		{"Node's charset", "application/x-www-form-urlencoded;charset=UTF-8", form, "", ""},
		{"Java's charset", "application/x-www-form-urlencoded; charset=UTF-8", form, "", ""},
		{"no content type", "", form, "", ""},
		{"JSON", "application/json", object, "", ""},
		{"JSON with a charset", "application/json; charset=utf-8", object, "", ""},
		{"multipart", `multipart/form-data; boundary="x"`, form, unsupported, "Invalid grant_type: "},
		{"nothing", "application/x-www-form-urlencoded", "", unsupported, "Invalid grant_type: "},
		{"another grant type", "", "grant_type=password", unsupported, "Invalid grant_type: password"},
		{"no assertion", "", jwtBearer, invalid, "Bad Request"},
		{"two parts", "", jwtBearer + "&assertion=a.b", invalid, "Bad Request"},
		{"bad base64", "", jwtBearer + "&assertion=!.!.!", invalid, "Bad Request"},
		{"no JSON", "", jwtBearer + "&assertion=aGk.aGk.aGk", invalid, "Bad Request"},
		{"HS256", "", jwtBearer + "&assertion=eyJhbGciOiJIUzI1NiJ9.e30.AA", "invalid_grant", "Invalid JWT Signature."},
		{"scope in the form too", "", form + "&scope=openid", "invalid_scope", "Invalid downscoping, scopes should not be specified as a request parameter."},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			request := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader(test.body))
			if test.contentType != "" {
				request.Header.Set("Content-Type", test.contentType)
			}
			got := serve(t, r.Token, request)
			if got.text("error") != test.code || got.text("error_description") != test.description {
				t.Errorf("%d %s, want %q: %q", got.status, got.body, test.code, test.description)
			}
		})
	}
}

// A user's token names the user as principal and the account as client.
func TestDelegation(t *testing.T) {
	t.Parallel()
	r := newRig(t, fixture)
	signed := r.assertion(t, map[string]any{"sub": "dev@example.com", "scope": drive})
	for _, form := range []map[string]string{
		{"grant_type": oauthapi.GrantTypeJWTBearer},
		{"grant_type": oauthapi.GrantTypeAssertion, "assertion_type": oauthapi.AssertionTypeJWT},
	} {
		all := values("assertion", signed)
		for name, value := range form {
			all.Set(name, value)
		}
		got := r.token(t, all)
		access, err := r.issuer.Recognise(got.text("access_token"))
		if err != nil || access.Principal.Kind != iam.KindUser || access.Principal.Email != "dev@example.com" || access.Client != workerID || access.Offline {
			t.Errorf("%v: %d %s: %+v, %v", form, got.status, got.body, access, err)
		}
	}
}
