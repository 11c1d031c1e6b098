package oauth2_test

import (
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/oauth2"
	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/server/world/worldtest"
	"gcp-metadata-emulator/signer"
)

const (
	worker   = "worker@demo-project.iam.gserviceaccount.com"
	workerID = "100000000000000000002"
	drive    = "https://www.googleapis.com/auth/drive"
	platform = "https://www.googleapis.com/auth/cloud-platform"
	endpoint = "https://oauth2.googleapis.com/token"
)

const fixture = `
serviceAccounts:
  - {email: ` + worker + `, uniqueId: "` + workerID + `", domainWideDelegation: ["` + drive + `"]}
  - {email: gone@demo-project.iam.gserviceaccount.com, disabled: true}
users:
  - {email: dev@example.com, uniqueId: "200000000000000000001", name: Dev Example}
  - {email: ops@example.com, uniqueId: "200000000000000000002"}
`

const registered = fixture + `
oauthClients:
  - {id: app, secret: s3 cret%, redirectUris: ["https://app.example.com/cb"]}
  - {id: public, redirectUris: ["com.example.app:/cb"]}
`

const began = 1_800_000_000

// ring is shared by all rigs, because keys take long to generate.
var ring = sync.OnceValue(func() *keys.Ring {
	return keys.NewRing("", func() time.Time { return time.Unix(began, 0) })
})

// rig is an authorization server whose clock the test controls.
type rig struct {
	*oauth2.Server

	worlds *store.Store[*world.World]
	ring   *keys.Ring
	issuer *token.Issuer
	time   time.Time
}

func newRig(t testing.TB, yaml string) *rig {
	t.Helper()
	r := &rig{worlds: store.New(worldtest.Parse(t, yaml)), ring: ring(), time: time.Unix(began, 0)}
	now := func() time.Time { return r.time }
	r.issuer = token.NewIssuer(r.ring, now)
	r.Server = oauth2.New(r.worlds, r.issuer, now, func(host, port string) bool { return host == "localhost" && (port == "8443" || port == "443") })
	return r
}

// dev returns the fixture's first user.
func (r *rig) dev(t testing.TB) *world.User {
	t.Helper()
	user, ok := r.worlds.Load().State.User("dev@example.com")
	if !ok {
		t.Fatal("no user dev@example.com")
	}
	return user
}

// answer holds the status and the members of the JSON body.
type answer struct {
	status  int
	header  http.Header
	members map[string]any
	body    string
}

func (a answer) text(name string) string {
	text, _ := a.members[name].(string)
	return text
}

func serve(t testing.TB, handle wire.Handler, request *http.Request) answer {
	t.Helper()
	logs := &strings.Builder{}
	recorder := httptest.NewRecorder()
	oauthapi.Dialect().Adapt(slog.New(slog.NewTextHandler(logs, nil)), handle).ServeHTTP(recorder, request)
	if logs.Len() > 0 {
		t.Errorf("logged: %s", logs)
	}
	got := answer{status: recorder.Code, header: recorder.Header(), body: recorder.Body.String()}
	_ = json.Unmarshal(recorder.Body.Bytes(), &got.members) // pages are not JSON
	return got
}

func formRequest(path string, form url.Values) *http.Request {
	request := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:8254"+path, strings.NewReader(form.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return request
}

// values returns a form of alternating names and values.
func values(pairs ...string) url.Values {
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return form
}

// with returns a copy of form with other values for some names.
func with(form url.Values, pairs ...string) url.Values {
	maps.Copy(form, values(pairs...))
	return form
}

func (r *rig) token(t testing.TB, form url.Values) answer {
	t.Helper()
	return serve(t, r.Token, formRequest("/token", form))
}

// claims returns the claims of a JWT without verifying it.
func claims(t testing.TB, text string) map[string]any {
	t.Helper()
	parts := strings.Split(text, ".")
	var claims map[string]any
	data, err := base64.RawURLEncoding.DecodeString(parts[min(1, len(parts)-1)])
	if err == nil {
		err = json.Unmarshal(data, &claims)
	}
	if err != nil {
		t.Fatalf("%q is not a JWT: %v", text, err)
	}
	return claims
}

// assertion returns a valid assertion with changed claims. A nil value removes a claim.
func (r *rig) assertion(t testing.TB, changes map[string]any) string {
	t.Helper()
	key, err := r.ring.User(worker, workerID).Active(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]any{
		"iss": worker, "scope": platform, "aud": endpoint, "iat": r.time.Unix(), "exp": r.time.Unix() + 3600,
	}
	maps.Copy(all, changes)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	signed, err := signer.JWT(key, all)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// resigned returns the JWT with another header, signed again.
func (r *rig) resigned(t testing.TB, jwt, header string, encoding *base64.Encoding) string {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(jwt, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	return r.signed(t, header, string(payload), encoding)
}

// signed returns a signed JWT with any header and payload.
func (r *rig) signed(t testing.TB, header, payload string, encoding *base64.Encoding) string {
	t.Helper()
	key, err := r.ring.User(worker, workerID).Active(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	input := encoding.EncodeToString([]byte(header)) + "." + encoding.EncodeToString([]byte(payload))
	signature, err := signer.Blob(key, []byte(input))
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + encoding.EncodeToString(signature)
}
