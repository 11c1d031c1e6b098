package sts_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world"
)

func TestIntrospect(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var answered struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(r.exchange(exchangeForm(r.subject(t, nil), nil)).body), &answered); err != nil {
		t.Fatal(err)
	}
	const shared = `"exp":"%","iat":"1795262400","iss":"https://sts.googleapis.com/","scope":"` + scope + `",`
	for text, want := range map[string]string{
		answered.AccessToken: `{"active":true,` + strings.Replace(shared, "%", "1795266000", 1) + `"sub":"someone","username":"principal://iam.googleapis.com/` + pool + `/subject/someone"}`,
		r.source(t).Text: `{"active":true,` + strings.Replace(shared, "%", "1795264200", 1) + `"sub":"` + r.world.Accounts[0].UniqueID +
			`","username":"a@my-project.iam.gserviceaccount.com"}`,
		"ya29.d.x": `{"active":false}`,
		"x":        `{"active":false}`,
	} {
		if got := r.call("introspect", formType, url.Values{"token": {text}}.Encode()); got.body != want {
			t.Errorf("answer is %d %s, want %s", got.status, got.body, want)
		}
	}
	if got := r.call("introspect", formType, ""); got.status != http.StatusBadRequest {
		t.Errorf("without a token the answer is %d %s", got.status, got.body)
	}
}

func TestOAuthToken(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	user, _ := r.world.User("dev@example.com")
	refresh := func(grant token.Grant) string {
		text, err := r.issuer.Refresh(grant)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	good := refresh(token.Grant{Principal: user.Workforce(), Scopes: []string{scope}, Client: "client", Session: "s"})
	revoked := refresh(token.Grant{Principal: user.Workforce(), Client: "client", Session: "gone"})
	if err := r.issuer.Revoke(t.Context(), revoked); err != nil {
		t.Fatal(err)
	}
	basic := func(id, secret string) func(*http.Request) {
		return func(request *http.Request) { request.SetBasicAuth(id, secret) }
	}
	form := func(text string) string {
		return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {text}}.Encode()
	}
	access, fields := r.granted(t, r.call("oauthtoken", formType, form(good), basic("client", "hush")))
	if access.Principal.Member() != "principal://iam.googleapis.com/locations/global/workforcePools/demo-workforce/subject/dev@example.com" {
		t.Errorf("principal %q", access.Principal.Member())
	}
	if diff := cmp.Diff(map[string]any{"token_type": "Bearer", "expires_in": 3599.0, "scope": scope}, fields); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	if _, err := r.issuer.Bearer(r.world, must(r.issuer.Access(t.Context(), access.Grant, time.Hour)).Text, ""); err != nil {
		t.Errorf("the token of a member of the workforce pool is refused: %v", err)
	}
	nobody := refresh(token.Grant{Principal: iam.Principal{Kind: iam.KindFederated, Pool: world.WorkforcePool, ID: "x"}, Client: "client"})
	ofUser := refresh(token.Grant{Principal: user.Principal(), Client: "client"})
	other := refresh(token.Grant{Principal: user.Workforce(), Client: "another"})
	bad := failure("invalid_grant", "Bad Request")
	for name, test := range map[string]struct {
		body   string
		client func(*http.Request)
		want   answer
	}{
		"wrong secret":          {form(good), basic("client", "x"), answer{401, failure("invalid_client", "Unauthorized")}},
		"no client":             {form(good), func(*http.Request) {}, answer{401, failure("invalid_client", "Unauthorized")}},
		"another client's":      {form(other), basic("client", "hush"), answer{400, bad}},
		"a user's own":          {form(ofUser), basic("client", "hush"), answer{400, bad}},
		"user who is no more":   {form(nobody), basic("client", "hush"), answer{400, bad}},
		"unknown refresh token": {form("1//0x"), basic("client", "hush"), answer{400, bad}},
		"revoked":               {form(revoked), basic("client", "hush"), answer{400, failure("invalid_grant", "Token has been expired or revoked.")}},
		"no refresh token":      {"grant_type=refresh_token", basic("client", "hush"), answer{400, failure("invalid_request", "Missing required parameter: refresh_token")}},
		"a code":                {"grant_type=authorization_code", basic("client", "hush"), answer{400, failure("unsupported_grant_type", "Invalid grant_type: authorization_code")}},
	} {
		if diff := cmp.Diff(test.want, r.call("oauthtoken", formType, test.body, test.client), cmp.AllowUnexported(answer{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	r.granted(t, r.call("oauthtoken", formType, form(good)+"&client_id=client&client_secret=hush"))
}

func must(issued token.Token, err error) token.Token {
	if err != nil {
		panic(err)
	}
	return issued
}
