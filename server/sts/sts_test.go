package sts_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/token"
)

func TestSubjectTokens(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	now := r.now.Unix()
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	const good = ""
	stale := func(at string) string {
		return failure("invalid_grant", "ID Token issued at "+at+" is stale to sign-in.")
	}
	signature := failure("invalid_grant", "Unable to verify the ID Token signature.")
	connecting := failure("invalid_grant", "Error connecting to the given credential's issuer.")
	claim := func(name string, value any) string { return r.subject(t, map[string]any{name: value}) }
	for name, test := range map[string]struct{ subject, want string }{
		"good":                     {r.subject(t, nil), good},
		"ES256":                    {sign(t, jwt.SigningMethodES256, "ec", r.ec, r.claims(nil)), good},
		"audience without https":   {claim("aud", audience), good},
		"one audience of several":  {claim("aud", []string{"x", audience}), good},
		"any lifetime":             {claim("exp", now+100*24*3600), good},
		"iat a minute ahead":       {claim("iat", now+60), good},
		"expired a minute ago":     {claim("exp", now-60), good},
		"issuer of another":        {claim("iss", "https://x.example.com"), failure("invalid_grant", "The issuer in ID Token https://x.example.com does not match the expected one in config: "+issuerURL+".")},
		"no issuer":                {claim("iss", nil), failure("invalid_grant", "The issuer in ID Token null does not match the expected one in config: "+issuerURL+".")},
		"audience of another":      {claim("aud", "x"), failure("invalid_grant", "The audience in ID Token [x] does not match the expected audience.")},
		"audiences of others":      {claim("aud", []string{"x", "y"}), failure("invalid_grant", "The audience in ID Token [x, y] does not match the expected audience.")},
		"no audience":              {claim("aud", nil), failure("invalid_grant", "The audience in ID Token [] does not match the expected audience.")},
		"http audience":            {claim("aud", "http:"+audience), failure("invalid_grant", "The audience in ID Token [http:"+audience+"] does not match the expected audience.")},
		"iat too far ahead":        {claim("iat", now+61), stale("1795262461")},
		"expired":                  {claim("exp", now-61), stale("1795262400")},
		"no exp":                   {claim("exp", nil), stale("1795262400")},
		"no iat":                   {claim("iat", nil), stale("null")},
		"iat a text":               {claim("iat", "now"), stale("now")},
		"same kid, other key":      {sign(t, jwt.SigningMethodRS256, "rsa", stranger, r.claims(nil)), signature},
		"kid of the other key":     {sign(t, jwt.SigningMethodRS256, "ec", r.rsa, r.claims(nil)), signature},
		"alg none":                 {sign(t, jwt.SigningMethodNone, "rsa", jwt.UnsafeAllowNoneSignatureType, r.claims(nil)), signature},
		"HS256":                    {sign(t, jwt.SigningMethodHS256, "rsa", []byte("secret"), r.claims(nil)), signature},
		"RS512":                    {sign(t, jwt.SigningMethodRS512, "rsa", r.rsa, r.claims(nil)), signature},
		"unknown kid":              {sign(t, jwt.SigningMethodRS256, "other", r.rsa, r.claims(nil)), connecting},
		"no subject":               {claim("sub", nil), failure("unauthorized_client", "The mapped attribute 'google.subject' must be of type STRING.")},
		"subject of 128 bytes":     {claim("sub", strings.Repeat("s", 128)), failure("invalid_request", "The size of mapped attribute google.subject exceeds the 127 bytes limit. Either modify your attribute mapping or the incoming assertion to produce a mapped attribute that is less than 127 bytes.")},
		"no JWT":                   {"x", failure("invalid_grant", "Unable to parse the ID Token.")},
		"an access token as a JWT": {"ya29.c.x", failure("invalid_grant", "Unable to parse the ID Token.")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := r.exchange(exchangeForm(test.subject, nil))
			if test.want == good {
				if got.status != http.StatusOK {
					t.Errorf("answer is %d %s", got.status, got.body)
				}
				return
			}
			if diff := cmp.Diff(answer{http.StatusBadRequest, test.want}, got, cmp.AllowUnexported(answer{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestRequests(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const malformed = `Invalid value for "audience". This value should be the full resource name of the Identity Provider. See https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token for the list of possible formats.`
	const unknown = `The target service indicated by the "audience" parameters is invalid. This might either be because the pool or provider is disabled or deleted or because it doesn't exist.`
	const iamHost = "//iam.googleapis.com/"
	const noScope = "Invalid OAuth scope or ID token audience provided."
	for name, test := range map[string]struct {
		changes           url.Values
		code, description string
	}{
		"no audience":           {url.Values{"audience": {""}}, "invalid_request", malformed},
		"https audience":        {url.Values{"audience": {"https:" + audience}}, "invalid_request", malformed},
		"audience without //":   {url.Values{"audience": {pool + "/providers/prov"}}, "invalid_request", malformed},
		"project ID":            {url.Values{"audience": {strings.Replace(audience, "projects/7", "projects/my-project", 1)}}, "invalid_request", malformed},
		"pool alone":            {url.Values{"audience": {iamHost + pool}}, "invalid_request", malformed},
		"empty provider":        {url.Values{"audience": {iamHost + pool + "/providers/"}}, "invalid_request", malformed},
		"other project":         {url.Values{"audience": {strings.Replace(audience, "projects/7", "projects/8", 1)}}, "invalid_target", unknown},
		"unknown provider":      {url.Values{"audience": {iamHost + pool + "/providers/none"}}, "invalid_target", unknown},
		"disabled provider":     {url.Values{"audience": {iamHost + pool + "/providers/shut"}}, "invalid_target", unknown},
		"disabled pool":         {url.Values{"audience": {strings.Replace(audience, "/pool/", "/closed/", 1)}}, "invalid_target", unknown},
		"workforce provider":    {url.Values{"audience": {iamHost + "locations/global/workforcePools/p/providers/q"}}, "invalid_target", unknown},
		"no scope":              {url.Values{"scope": {""}}, "invalid_scope", noScope},
		"scope that is none":    {url.Values{"scope": {scope + " x"}}, "invalid_scope", noScope},
		"grant type":            {url.Values{"grant_type": {"password"}}, "unsupported_grant_type", "Invalid grant_type: password"},
		"no grant type":         {url.Values{"grant_type": {""}}, "unsupported_grant_type", "Invalid grant_type: "},
		"requested type":        {url.Values{"requested_token_type": {jwtType}}, "invalid_request", "Invalid requested_token_type: " + jwtType},
		"no subject token":      {url.Values{"subject_token": {""}}, "invalid_request", "Missing required parameter: subject_token"},
		"no subject type":       {url.Values{"subject_token_type": {""}}, "invalid_request", "Invalid subject_token_type: "},
		"subject type of AWS":   {url.Values{"subject_token_type": {"urn:ietf:params:aws:token-type:aws4_request"}}, "invalid_request", "Invalid subject_token_type for the identity provider: urn:ietf:params:aws:token-type:aws4_request"},
		"JWT for AWS":           {url.Values{"audience": {iamHost + pool + "/providers/amazon"}}, "invalid_request", "Invalid subject_token_type for the identity provider: " + jwtType},
		"subject type of X.509": {url.Values{"subject_token_type": {"urn:ietf:params:oauth:token-type:mtls"}}, "invalid_request", "The emulator does not exchange X.509 certificates (subject_token_type urn:ietf:params:oauth:token-type:mtls)."},
		"JWT as access token":   {url.Values{"subject_token_type": {accessType}}, "invalid_grant", "The subject token is not an access token."},
		"options of something":  {url.Values{"options": {"x"}}, "invalid_request", `Invalid value for "options". This value should be a JSON object.`},
		"options, unknown key":  {url.Values{"options": {`{"x": 1}`}}, "invalid_request", `Invalid value for "options". This value should be a JSON object.`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := r.exchange(exchangeForm(r.subject(t, nil), test.changes))
			want := answer{http.StatusBadRequest, failure(test.code, test.description)}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(answer{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for name, changes := range map[string]url.Values{
		"ID token type":     {"subject_token_type": {"urn:ietf:params:oauth:token-type:id_token"}},
		"no requested type": {"requested_token_type": {""}},
		"user project":      {"options": {`{"userProject":"p"}`}},
		"escaped options":   {"options": {url.PathEscape(`{"userProject":"p"}`)}},
		"several scopes":    {"scope": {scope + " openid"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r.granted(t, r.exchange(exchangeForm(r.subject(t, nil), changes)))
		})
	}
}

func TestFederatedToken(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	access, fields := r.granted(t, r.exchange(exchangeForm(r.subject(t, nil), nil)))
	if diff := cmp.Diff(map[string]any{"issued_token_type": accessType, "token_type": "Bearer", "expires_in": 3599.0}, fields); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	want := token.Grant{Principal: iam.Principal{Kind: iam.KindFederated, Pool: pool, ID: "someone"}, Scopes: []string{scope}}
	if diff := cmp.Diff(want, access.Grant); diff != "" || access.Expires != r.now.Add(time.Hour).Unix() {
		t.Errorf("the token expires at %d and says (-want +got):\n%s", access.Expires, diff)
	}
}

func TestExpiresIn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for left, want := range map[int64]any{7200: 3599.0, 3600: 3599.0, 60: 59.0, 2: 1.0} {
		_, fields := r.granted(t, r.exchange(exchangeForm(r.subject(t, map[string]any{"exp": r.now.Unix() + left}), nil)))
		if fields["expires_in"] != want {
			t.Errorf("with %d s left expires_in is %v, want %v", left, fields["expires_in"], want)
		}
	}
	for _, left := range []time.Duration{time.Second, 0, -time.Minute} {
		got := r.exchange(exchangeForm(r.subject(t, map[string]any{"exp": r.now.Add(left).Unix()}), nil))
		if got.status != http.StatusOK || strings.Contains(got.body, "expires_in") {
			t.Errorf("with %v left the answer is %d %s", left, got.status, got.body)
		}
	}
}

func TestMappingAndCondition(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const maps = "//iam.googleapis.com/" + pool + "/providers/maps"
	claims := map[string]any{"aud": maps, "repo": "octo/app", "owner": "octo", "actor": "dev", "groups": []string{"a"}}
	access, _ := r.granted(t, r.exchange(exchangeForm(r.subject(t, claims), url.Values{"audience": {maps}})))
	want := iam.Principal{
		Kind: iam.KindFederated, Pool: pool, ID: "repo:octo/app", Groups: []string{"a"}, Attributes: map[string]string{"actor": "dev"},
	}
	if diff := cmp.Diff(want, access.Principal); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	claims["owner"] = "somebody"
	got := r.exchange(exchangeForm(r.subject(t, claims), url.Values{"audience": {maps}}))
	if got.body != failure("unauthorized_client", "The given credential is rejected by the attribute condition.") {
		t.Errorf("answer is %d %s", got.status, got.body)
	}
}

func TestAllowedAudiences(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const lists = "//iam.googleapis.com/" + pool + "/providers/lists"
	for audience, want := range map[string]int{"one": 200, "two": 200, lists: 400, "three": 400} {
		got := r.exchange(exchangeForm(r.subject(t, map[string]any{"aud": audience}), url.Values{"audience": {lists}}))
		if got.status != want {
			t.Errorf("%q: answer is %d %s", audience, got.status, got.body)
		}
	}
}

// A provider without a key set accepts the emulator's own ID tokens as subject tokens.
func TestOwnIDTokens(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id, err := r.issuer.ID(t.Context(), token.Claims{Audience: own, AuthorizedParty: "1", Subject: "1"})
	if err != nil {
		t.Fatal(err)
	}
	access, _ := r.granted(t, r.exchange(exchangeForm(id.Text, url.Values{"audience": {own}})))
	if access.Principal.ID != "1" || access.Principal.Pool != pool {
		t.Errorf("principal %+v", access.Principal)
	}
	foreign := sign(t, jwt.SigningMethodRS256, "rsa", r.rsa, r.claims(map[string]any{"iss": "https://accounts.google.com", "aud": own}))
	if got := r.exchange(exchangeForm(foreign, url.Values{"audience": {own}})); got.body != failure("invalid_grant", "Error connecting to the given credential's issuer.") {
		t.Errorf("answer to a foreign token is %d %s", got.status, got.body)
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, body := range map[string]map[string]string{
		"camel case": {
			"grantType": "urn:ietf:params:oauth:grant-type:token-exchange", "audience": audience, "scope": scope,
			"requestedTokenType": accessType, "subjectToken": r.subject(t, nil), "subjectTokenType": jwtType,
		},
		"snake case": {
			"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "audience": audience, "scope": scope,
			"subject_token": r.subject(t, nil), "subject_token_type": jwtType,
		},
	} {
		encoded, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r.granted(t, r.call("token", "application/json", string(encoded)))
		})
	}
}
