package server_test

import (
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/signer"
)

const wellFormedFixture = `
serviceAccounts: [{email: login@demo-project.iam.gserviceaccount.com, uniqueId: "100000000000000000011"}]
policies:
  - {resource: services/orders, bindings: [{role: roles/run.invoker, members: ["serviceAccount:login@demo-project.iam.gserviceaccount.com"]}]}
  - {resource: services/console, bindings: [{role: roles/iap.httpsResourceAccessor, members: ["serviceAccount:login@demo-project.iam.gserviceaccount.com"]}]}
  - {resource: project, bindings: [{role: roles/owner, members: ["serviceAccount:login@demo-project.iam.gserviceaccount.com"]}]}
workloadIdentityPools: [{id: demo-pool, providers: [{id: demo-provider, issuer: "https://accounts.google.com"}]}]
instances:
  - {name: orders, profile: cloud-run, ingress: {urls: ["https://orders.example.com"]}}
  - {name: console, profile: cloud-run, ingress: {urls: ["https://console.example.com"], authentication: iap, customAudiences: [mine.apps.googleusercontent.com]}}
`

// jwtForm is a JWT before it is signed and encoded.
type jwtForm struct {
	header, payload string
	encode          func([]byte) string // nil: as RFC 7515 demands
	after           func(text string) string
}

// sign returns the JWT. The signature is valid for its text in any form.
func (f jwtForm) sign(t *testing.T, key *keys.Key) string {
	t.Helper()
	encode := f.encode
	if encode == nil {
		encode = base64.RawURLEncoding.EncodeToString
	}
	input := encode([]byte(f.header)) + "." + encode([]byte(f.payload))
	signature := emulatortest.Must[[]byte](t)(signer.Blob(key, []byte(input)))
	text := input + "." + encode(signature)
	if f.after != nil {
		text = f.after(text)
	}
	return text
}

// malformations are the ways in which a JWT can be malformed although its signature is valid.
func malformations() map[string]func(jwtForm) jwtForm {
	payload := func(change func(string) string) func(jwtForm) jwtForm {
		return func(f jwtForm) jwtForm { f.payload = change(f.payload); return f }
	}
	header := func(before string) func(jwtForm) jwtForm {
		return func(f jwtForm) jwtForm { f.header = before + f.header[1:]; return f }
	}
	after := func(change func(string) string) func(jwtForm) jwtForm {
		return func(f jwtForm) jwtForm { f.after = change; return f }
	}
	encoded := func(encode func([]byte) string) func(jwtForm) jwtForm {
		return func(f jwtForm) jwtForm { f.encode = encode; return f }
	}
	return map[string]func(jwtForm) jwtForm{
		"something after the payload":  payload(func(s string) string { return s + "x" }),
		"an object after the payload":  payload(func(s string) string { return s + `{"sub":"1"}` }),
		"something after the header":   func(f jwtForm) jwtForm { f.header += "{}"; return f },
		"null as payload":              payload(func(string) string { return "null" }),
		"a list as payload":            payload(func(s string) string { return "[" + s + "]" }),
		"duplicate claims":             payload(func(s string) string { return `{"sub":"1",` + s[1:] }),
		"duplicate claims within one":  payload(func(s string) string { return `{"x":{"a":1,"a":2},` + s[1:] }),
		"duplicate header members":     header(`{"alg":"none",`),
		"invalid UTF-8 in the payload": payload(func(s string) string { return `{"x":"` + "\xff" + `",` + s[1:] }),
		"invalid UTF-8 in the header":  header(`{"x":"` + "\xff" + `",`),
		"crit":                         header(`{"crit":["exp"],"exp":1,`),
		"an empty crit":                header(`{"crit":[],`),
		"another last letter":          after(func(s string) string { return s[:len(s)-1] + string(s[len(s)-1]+1) }),
		"a line break":                 after(func(s string) string { return s[:len(s)-9] + "\r\n" + s[len(s)-9:] }),
		"a line feed in the header":    after(func(s string) string { return s[:5] + "\n" + s[5:] }),
		"padding":                      encoded(base64.URLEncoding.EncodeToString),
		"the standard alphabet": func(f jwtForm) jwtForm {
			f.encode, f.payload = base64.RawStdEncoding.EncodeToString, `{"x":">>>???",`+f.payload[1:]
			return f
		},
		"not valid before an hour from now": payload(func(s string) string {
			return `{"nbf":` + strconv.FormatInt(emulatortest.Noon().Unix()+3600, 10) + `,` + s[1:]
		}),
		"nbf that is not a time": payload(func(s string) string { return `{"nbf":true,` + s[1:] }),
	}
}

// verifyingSurface is a surface that takes JWTs.
type verifyingSurface struct {
	bySelf  bool // the service account signs the JWT, and not Google
	claims  map[string]any
	request func(text string) *http.Request
	takes   []string // malformed JWTs that it takes all the same
}

func verifyingSurfaces() map[string]verifyingSurface {
	get := func(target, header string) func(string) *http.Request {
		return func(text string) *http.Request {
			request := httptest.NewRequest(http.MethodGet, target, http.NoBody)
			request.Header[header] = []string{"Bearer " + text}
			return request
		}
	}
	post := func(target, kind string, body func(text string) string) func(string) *http.Request {
		return func(text string) *http.Request {
			request := httptest.NewRequest(http.MethodPost, target, strings.NewReader(body(text)))
			request.Header.Set("Content-Type", kind)
			return request
		}
	}
	const form, document = "application/x-www-form-urlencoded", "application/json"
	verify := func(receiver, audience string) func(string) string {
		return func(text string) string {
			body, _ := json.Marshal(map[string]string{"token": text, "for": receiver, "audience": audience})
			return string(body)
		}
	}
	const verifyPath = "http://localhost/emulator/v1/tokens:verify"
	pasted := []string{"a line break", "a line feed in the header"} // the control plane removes them
	provider := "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/demo-pool/providers/demo-provider"
	return map[string]verifyingSurface{
		"bearer": {bySelf: true, claims: map[string]any{"aud": "https://cloudresourcemanager.googleapis.com/"}, request: get("http://cloudresourcemanager.googleapis.com/v1/projects/demo-project", "Authorization")},
		"door":   {claims: map[string]any{"aud": "https://orders.example.com"}, request: get("https://orders.example.com/", "Authorization")},
		"proxy":  {claims: map[string]any{"aud": "mine.apps.googleusercontent.com"}, request: get("https://console.example.com/", "Authorization")},
		"proxy, self-signed": {
			bySelf: true, claims: map[string]any{"aud": "https://console.example.com/*"}, request: get("https://console.example.com/", "Proxy-Authorization"),
		},
		"token exchange": {claims: map[string]any{"aud": "https:" + provider}, request: post("http://localhost/v1/token", form, func(text string) string {
			return url.Values{
				"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "audience": {provider}, "scope": {emulatortest.Platform},
				"requested_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
				"subject_token_type":   {"urn:ietf:params:oauth:token-type:jwt"}, "subject_token": {text},
			}.Encode()
		})},
		"token endpoint": {bySelf: true, takes: []string{"padding", "the standard alphabet"}, claims: map[string]any{"aud": "https://oauth2.googleapis.com/token", "scope": emulatortest.Platform}, request: post("http://localhost/token", form, func(text string) string {
			return url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {text}}.Encode()
		})},
		"tokeninfo": {claims: map[string]any{"aud": "x"}, request: func(text string) *http.Request {
			return httptest.NewRequest(http.MethodGet, "http://localhost/tokeninfo?"+url.Values{"id_token": {text}}.Encode(), http.NoBody)
		}},
		"verify": {takes: pasted, claims: map[string]any{"aud": "x"}, request: post(verifyPath, document, verify("", "x"))},
		"oidc":   {takes: pasted, claims: map[string]any{"aud": "x"}, request: post(verifyPath, document, verify("oidc", "x"))},
		"api":    {bySelf: true, takes: pasted, claims: map[string]any{"aud": "https://iamcredentials.googleapis.com/"}, request: post(verifyPath, document, verify("api=iamcredentials.googleapis.com", ""))},
	}
}

// Every surface that verifies JWTs takes only well-formed JWTs, and no JWT before its time.
// Google's token endpoint takes two more forms of base64.
func TestEverySurfaceDemandsWellFormedJWTs(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "world.yaml")
	if err := os.WriteFile(file, []byte(wellFormedFixture), 0o600); err != nil {
		t.Fatal(err)
	}
	echo := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(echo.Close)
	e := emulatortest.NewOf(t, fixtures.Files{Fixture: file}, func(config *server.Config) {
		config.IAM, config.Logger = guard.Enforce, slog.New(slog.DiscardHandler)
		for _, service := range config.World.Services() {
			service.Upstream = emulatortest.Must[*url.URL](t)(url.Parse(echo.URL))
		}
	})
	account, _ := e.World().State.Account(loginAccount)
	google := emulatortest.Must[*keys.Key](t)(e.Keys.Google().Active(t.Context()))
	own := emulatortest.Must[*keys.Key](t)(e.Keys.User(account.Email, account.UniqueID).Active(t.Context()))
	for name, surface := range verifyingSurfaces() {
		claims := map[string]any{
			"iss": "https://accounts.google.com", "sub": account.UniqueID, "email": account.Email, "email_verified": true,
			"iat": emulatortest.Noon().Unix(), "exp": emulatortest.Noon().Unix() + 3600,
		}
		key := google
		if surface.bySelf {
			key, claims["iss"], claims["sub"] = own, account.Email, account.Email
		}
		maps.Copy(claims, surface.claims)
		encoded, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		payload := string(encoded)
		if len(payload)%3 == 0 { // so that padding makes a difference
			payload = `{"pad":1,` + payload[1:]
		}
		good := jwtForm{header: `{"alg":"RS256","kid":"` + key.ID() + `","typ":"JWT"}`, payload: payload}
		if got := accepts(t, e, surface.request(good.sign(t, key))); !got {
			t.Errorf("%s refuses a good JWT", name)
		}
		for what, change := range malformations() {
			want := false
			for _, taken := range surface.takes {
				want = want || taken == what
			}
			if got := accepts(t, e, surface.request(change(good).sign(t, key))); got != want {
				t.Errorf("%s takes a JWT with %s: %t, want %t", name, what, got, want)
			}
		}
	}
}

// accepts reports whether the emulator takes the token of a request.
func accepts(t *testing.T, e *emulatortest.Emulator, request *http.Request) bool {
	t.Helper()
	recorder := httptest.NewRecorder()
	e.ServeHTTP(recorder, request.WithContext(t.Context()))
	if recorder.Code >= http.StatusInternalServerError {
		t.Errorf("%s %s: status %d, %s", request.Method, request.URL, recorder.Code, recorder.Body)
	}
	if strings.HasSuffix(request.URL.Path, ":verify") {
		return strings.Contains(recorder.Body.String(), "\n  \"valid\": true")
	}
	return recorder.Code == http.StatusOK
}
