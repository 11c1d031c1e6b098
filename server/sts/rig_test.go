package sts_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
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
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/sts"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/server/world/worldtest"
)

const (
	pool       = "projects/7/locations/global/workloadIdentityPools/pool"
	audience   = "//iam.googleapis.com/" + pool + "/providers/prov"
	own        = "//iam.googleapis.com/" + pool + "/providers/mine"
	issuerURL  = "https://issuer.example.com"
	scope      = "https://www.googleapis.com/auth/cloud-platform"
	accessType = "urn:ietf:params:oauth:token-type:access_token"
	jwtType    = "urn:ietf:params:oauth:token-type:jwt"

	fixture = `
project: {id: my-project, number: 7}
users: [{email: dev@example.com}]
serviceAccounts: [{email: a@my-project.iam.gserviceaccount.com}]
instances: [{name: vm, serviceAccounts: [{email: a@my-project.iam.gserviceaccount.com}]}]
oauthClients: [{id: client, secret: hush}]
workloadIdentityPools:
  - id: pool
    providers:
      - {id: prov, issuer: "https://issuer.example.com", jwksFile: jwks.json}
      - {id: lists, issuer: "https://issuer.example.com", jwksFile: jwks.json, allowedAudiences: [one, two]}
      - {id: mine, issuer: "https://accounts.google.com"}
      - {id: shut, issuer: "https://issuer.example.com", disabled: true}
      - id: maps
        issuer: https://issuer.example.com
        jwksFile: jwks.json
        attributeMapping: {google.subject: "'repo:' + assertion.repo", attribute.actor: assertion.actor, google.groups: assertion.groups}
        attributeCondition: assertion.owner == "octo" && google.subject.startsWith("repo:")
      - id: amazon
        aws:
          accountId: "123456789012"
          accessKeys:
            - {id: AKIAROLE, secret: hush, arn: "arn:aws:sts::123456789012:assumed-role/worker/session", userId: "AROAX:session"}
            - {id: AKIAUSER, secret: hush, arn: "arn:aws:iam::123456789012:user/dev"}
            - {id: AKIAEVE, secret: hush, arn: "arn:aws:iam::999999999999:user/eve"}
      - id: amazon-maps
        aws: {accountId: "123456789012", accessKeys: [{id: AKIAUSER, secret: hush, arn: "arn:aws:iam::123456789012:user/dev"}]}
        attributeMapping: {google.subject: "assertion.account + '/' + assertion.userid"}
        attributeCondition: assertion.arn.startsWith("arn:aws:iam::")
  - id: my-project.svc.id.goog
    providers:
      - {id: prod, issuer: "https://container.googleapis.com/v1/projects/my-project/locations/us-east1/clusters/prod", jwksFile: jwks.json}
      - {id: fleet, issuer: "https://gkehub.googleapis.com/projects/my-project/locations/global/memberships/fleet", jwksFile: jwks.json, disabled: true}
  - {id: closed, disabled: true, providers: [{id: prov, issuer: "https://issuer.example.com"}]}
`
)

// rig holds a Security Token Service and an identity provider that its pool trusts.
type rig struct {
	*sts.Server

	issuer *token.Issuer
	world  *world.World
	rsa    *rsa.PrivateKey
	ec     *ecdsa.PrivateKey
	now    time.Time

	cluster apiServer
}

func newRig(t testing.TB) *rig {
	t.Helper()
	return newRigOf(t, fixture)
}

// newRigOf returns a rig of another fixture, whose files are the keys of the issuer and the
// certificate in the testdata of package saml.
func newRigOf(t testing.TB, fixture string) *rig {
	t.Helper()
	r := &rig{now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	var err error
	if r.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	if r.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: r.rsa.Public(), KeyID: "rsa"}, {Key: r.ec.Public(), KeyID: "ec"}}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "jwks.json"), set, 0o600); err != nil {
		t.Fatal(err)
	}
	certificate, err := os.ReadFile("saml/testdata/idp.pem")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "idp.pem"), certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	clock := func() time.Time { return r.now }
	r.world = worldtest.ParseIn(t, dir, fixture)
	r.issuer = token.NewIssuer(worldtest.Ring(clock), clock)
	r.Server = sts.New(store.New(r.world), r.issuer, clock, &r.cluster)
	return r
}

// claims returns the claims of a valid token with changes. A nil value removes a claim.
func (r *rig) claims(changes map[string]any) jwt.MapClaims {
	claims := jwt.MapClaims{
		"iss": issuerURL, "aud": "https:" + audience, "sub": "someone", "iat": r.now.Unix(), "exp": r.now.Add(time.Hour).Unix(),
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	return claims
}

func sign(t testing.TB, method jwt.SigningMethod, kid string, key any, claims jwt.MapClaims) string {
	t.Helper()
	unsigned := jwt.NewWithClaims(method, claims)
	unsigned.Header["kid"] = kid
	signed, err := unsigned.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func (r *rig) subject(t testing.TB, changes map[string]any) string {
	t.Helper()
	return sign(t, jwt.SigningMethodRS256, "rsa", r.rsa, r.claims(changes))
}

// exchangeForm returns a valid request with changes. An empty value removes a parameter.
func exchangeForm(subject string, changes url.Values) url.Values {
	form := url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "audience": {audience}, "scope": {scope},
		"requested_token_type": {accessType}, "subject_token": {subject}, "subject_token_type": {jwtType},
	}
	maps.Copy(form, changes)
	maps.DeleteFunc(form, func(_ string, values []string) bool { return values[0] == "" })
	return form
}

type answer struct {
	status int
	body   string
}

// call sends body, with the given content type.
func (r *rig) call(method, contentType, body string, edit ...func(*http.Request)) answer {
	handler := map[string]http.Handler{}
	logger := slog.New(slog.DiscardHandler)
	handler["token"] = sts.Dialect().Adapt(logger, r.Token)
	handler["introspect"] = sts.Dialect().Adapt(logger, r.Introspect)
	handler["oauthtoken"] = sts.Dialect().Adapt(logger, r.OAuthToken)
	request := httptest.NewRequest(http.MethodPost, "/v1/"+method, strings.NewReader(body))
	request.Header.Set("Content-Type", contentType)
	for _, change := range edit {
		change(request)
	}
	recorder := httptest.NewRecorder()
	handler[method].ServeHTTP(recorder, request)
	return answer{recorder.Code, recorder.Body.String()}
}

const formType = "application/x-www-form-urlencoded"

func (r *rig) exchange(form url.Values) answer { return r.call("token", formType, form.Encode()) }

// granted decodes a successful answer and its access token.
func (r *rig) granted(t testing.TB, got answer) (token.Access, map[string]any) {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal([]byte(got.body), &fields); err != nil || got.status != http.StatusOK {
		t.Fatalf("answer is %d %s", got.status, got.body)
	}
	text, _ := fields["access_token"].(string)
	if !strings.HasPrefix(text, "ya29.") {
		t.Errorf("access token %q", text)
	}
	access, err := r.issuer.Recognise(text)
	if err != nil {
		t.Fatal(err)
	}
	delete(fields, "access_token")
	return access, fields
}

func failure(code, description string) string {
	return `{"error":` + strconv.Quote(code) + `,"error_description":` + strconv.Quote(description) + `}`
}

// FuzzToken checks that no request causes a server error, or gets a token without a valid subject
// token.
func FuzzToken(f *testing.F) {
	r := newRig(f)
	f.Add(formType, exchangeForm("a.b.c", nil).Encode())
	f.Add("application/json", `{"grantType": "urn:ietf:params:oauth:grant-type:token-exchange", "subjectToken": "x", "options": "{}"}`)
	f.Add(formType, exchangeForm("e30.e30.", url.Values{"options": {`{"accessBoundary": ` + goodBoundary + `}`}}).Encode())
	f.Add(formType, exchangeForm(sign(f, jwt.SigningMethodNone, "rsa", jwt.UnsafeAllowNoneSignatureType, r.claims(nil)), nil).Encode())
	f.Fuzz(func(t *testing.T, contentType, body string) {
		if got := r.call("token", contentType, body); got.status != http.StatusBadRequest {
			t.Errorf("%q is answered with %d %s", body, got.status, got.body)
		}
	})
}
