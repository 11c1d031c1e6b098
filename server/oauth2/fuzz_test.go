package oauth2_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/token"
)

// No form may crash the token endpoint or get a token without a valid credential.
func FuzzToken(f *testing.F) {
	r := newRig(f, fixture)
	for _, grantType := range []string{
		oauthapi.GrantTypeJWTBearer, oauthapi.GrantTypeAssertion, oauthapi.GrantTypeRefreshToken,
		oauthapi.GrantTypeAuthorizationCode, oauthapi.GrantTypeDeviceCode, "",
	} {
		f.Add("application/x-www-form-urlencoded", values("grant_type", grantType, "client_id", "a", "code", "4/0", "refresh_token", "1//0",
			"device_code", "AH-1Ng", "assertion", "e30.e30.AA", "assertion_type", oauthapi.AssertionTypeJWT).Encode())
	}
	f.Add("application/json", `{"grant_type":["x"],"client_id":{}}`)
	f.Fuzz(func(t *testing.T, contentType, body string) {
		for path, handle := range map[string]func(*http.Request) answer{
			"/token":       func(request *http.Request) answer { return serve(t, r.Token, request) },
			"/revoke":      func(request *http.Request) answer { return serve(t, r.Revoke, request) },
			"/device/code": func(request *http.Request) answer { return serve(t, r.DeviceCode, request) },
			"/device":      func(request *http.Request) answer { return serve(t, r.Device, request) },
		} {
			request := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
			request.Header.Set("Content-Type", contentType)
			if got := handle(request); got.status >= http.StatusInternalServerError || got.text("access_token") != "" {
				t.Errorf("%s: %d %s", path, got.status, got.body)
			}
		}
	})
}

// No claims may crash the token endpoint, even if the account itself signed them. Every issued
// token must speak for the account or for a user whom it may act for.
func FuzzAssertion(f *testing.F) {
	r := newRig(f, fixture)
	f.Add(`{"alg":"RS256"}`, "scope", `"`+drive+`"`)
	f.Add(`{"alg":"RS256","kid":7}`, "sub", `"dev@example.com"`)
	f.Add(`{}`, "aud", `[[]]`)
	f.Add(`{"alg":"RS256"}`, "exp", `1e400`)
	f.Add(`{"alg":"RS256"}`, "iat", `-0.5`)
	f.Fuzz(func(t *testing.T, header, name, value string) {
		payload := fmt.Sprintf(`{"iss":%q,"scope":%q,"aud":%q,"iat":%d,"exp":%[4]d,%q:%s}`, worker, drive, endpoint, r.time.Unix(), name, value)
		signed := r.signed(t, header, payload, base64.RawURLEncoding)
		got := r.token(t, values("grant_type", oauthapi.GrantTypeJWTBearer, "assertion", signed))
		if got.status >= http.StatusInternalServerError {
			t.Errorf("%d %s", got.status, got.body)
		}
		text := got.text("access_token")
		if text == "" {
			return
		}
		access, err := r.issuer.Recognise(text)
		if err != nil || access.Principal.Email != worker && !isDelegated(access) {
			t.Errorf("a token of %+v, %v", access, err)
		}
	})
}

func isDelegated(access token.Access) bool {
	return access.Client == workerID && len(access.Scopes) == 1 && access.Scopes[0] == drive
}

// No query may crash the authorization endpoint or redirect the browser to another machine.
func FuzzAuthorize(f *testing.F) {
	r := newRig(f, fixture)
	f.Add("client_id=a&response_type=code&scope=openid&redirect_uri=http%3A%2F%2Flocalhost%2F", "text/html")
	f.Add("client_id=a&response_type=code&scope=openid&redirect_uri=http%3A%2F%2Flocalhost%40evil%2F", "")
	f.Add("client_id=a&redirect_uri=%2F%2Fevil", "")
	f.Fuzz(func(t *testing.T, query, accept string) {
		request := httptest.NewRequest(http.MethodGet, "/o/oauth2/v2/auth", nil)
		request.URL.RawQuery = query
		request.Header.Set("Accept", accept)
		got := serve(t, r.Authorize, request)
		if got.status >= http.StatusInternalServerError {
			t.Errorf("%d %s", got.status, got.body)
		}
		location := got.header.Get("Location")
		if location == "" {
			return
		}
		target, err := url.Parse(location)
		if err != nil || !strings.HasSuffix(target.Hostname(), "localhost") && !strings.HasPrefix(target.Hostname(), "127.") && target.Hostname() != "::1" {
			t.Errorf("sent to %q, %v", location, err)
		}
	})
}
