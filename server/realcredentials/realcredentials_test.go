package realcredentials_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/realcredentials"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/signer"
)

const (
	known    = "worker@demo-project.iam.gserviceaccount.com"
	stranger = "prod@real-project.iam.gserviceaccount.com"
	deleted  = "deleted@demo-project.iam.gserviceaccount.com"
)

// rig is a guard around both kinds of handlers, which answer with the body.
type rig struct {
	world  *world.World
	dir    string
	ring   *keys.Ring
	issuer *token.Issuer
	logs   strings.Builder

	api, oauth, rpc http.Handler
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{world: world.New(fixtures.Default()), dir: t.TempDir()}
	r.ring = keys.NewRing(r.dir, time.Now)
	t.Cleanup(r.ring.Wait)
	r.issuer = token.NewIssuer(r.ring, time.Now)
	logger := slog.New(slog.NewTextHandler(&r.logs, nil))
	guard := realcredentials.New(store.New(r.world), r.ring, r.issuer, logger)
	handle := func(request *http.Request) (wire.Response, error) {
		body, err := io.ReadAll(request.Body)
		return wire.Response{Body: "read " + string(body)}, err
	}
	r.api = googleapi.Dialect().Adapt(logger, guard.API(handle))
	r.rpc = guard.RPC(googleapi.Dialect().Adapt(logger, handle), func(*http.Request, wire.Response) {})
	r.oauth = oauthapi.Dialect().Adapt(logger, guard.OAuth(handle))
	return r
}

func (r *rig) assertion(t *testing.T, ring *keys.Ring, email string) string {
	t.Helper()
	key, err := ring.User(email, "1").Active(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	text, err := signer.JWT(key, map[string]any{"iss": email, "aud": "https://oauth2.googleapis.com/token"})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (r *rig) accessToken(t *testing.T, issuer *token.Issuer, lifetime time.Duration) string {
	t.Helper()
	account, _ := r.world.Account(known)
	issued, err := issuer.Access(context.Background(), token.ForAccount(account, nil), lifetime)
	if err != nil {
		t.Fatal(err)
	}
	return issued.Text
}

func (r *rig) refreshToken(t *testing.T, issuer *token.Issuer) string {
	t.Helper()
	account, _ := r.world.Account(known)
	text, err := issuer.Refresh(token.ForAccount(account, nil))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func ask(handler http.Handler, request *http.Request) *httptest.ResponseRecorder {
	request.Header.Set("User-Agent", "backup-tool/1.2")
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder
}

func proxied(request *http.Request) *http.Request {
	return request.WithContext(wire.WithProxied(request.Context()))
}

func withBearer(credential string) *http.Request {
	request := httptest.NewRequest(http.MethodPost, "https://iamcredentials.googleapis.com/v1/x", strings.NewReader("body"))
	request.Header.Set("Authorization", "Bearer "+credential)
	return request
}

func withParameter(name, value string) *http.Request {
	request := httptest.NewRequest(http.MethodPost, "https://oauth2.googleapis.com/token", strings.NewReader(url.Values{name: {value}}.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return request
}

func withObject(name, value string) *http.Request {
	request := httptest.NewRequest(http.MethodPost, "https://sts.googleapis.com/v1/token", strings.NewReader(`{"`+name+`":"`+value+`"}`))
	request.Header.Set("Content-Type", "application/json")
	return request
}

// standard returns a JWT in the standard alphabet of base64, with padding.
func standard(t *testing.T, jwt string) string {
	t.Helper()
	parts := strings.Split(jwt, ".")
	for i, part := range parts {
		data, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			t.Fatal(err)
		}
		parts[i] = base64.StdEncoding.EncodeToString(data)
	}
	return strings.Join(parts, ".")
}

func withQuery(name, value string) *http.Request {
	return httptest.NewRequest(http.MethodPost, "https://oauth2.googleapis.com/revoke?"+url.Values{name: {value}}.Encode(), nil)
}

func TestRealCredentialsAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	elsewhere := keys.NewRing("", time.Now)
	foreignToken := r.accessToken(t, token.NewIssuer(elsewhere, time.Now), time.Hour)
	foreignAssertion := r.assertion(t, elsewhere, stranger)
	byUniqueID := r.assertion(t, elsewhere, "109876543210987654321")
	foreignRefresh := r.refreshToken(t, token.NewIssuer(elsewhere, time.Now))
	oldRefresh := "1/" + strings.Repeat("fFAGRNJru1FTz70BzhT3Zg", 2)
	for _, test := range []struct {
		name       string
		handler    http.Handler
		request    *http.Request
		credential string
		says       string
	}{
		{"bearer token", r.api, withBearer(foreignToken), foreignToken, "an access token"},
		{"self-signed JWT", r.api, withBearer(foreignAssertion), foreignAssertion, stranger},
		{"query", r.api, httptest.NewRequest(http.MethodGet, "https://iam.googleapis.com/v1/x?access_token="+foreignToken, nil), foreignToken, "an access token"},
		{"assertion", r.oauth, withParameter("assertion", foreignAssertion), foreignAssertion, stranger},
		{"tokeninfo", r.oauth, withParameter("access_token", foreignToken), foreignToken, "an access token"},
		{"revocation", r.oauth, withParameter("token", foreignToken), foreignToken, "an access token"},
		{"revocation by query", r.oauth, withQuery("token", foreignToken), foreignToken, "an access token"},
		{"revocation of a refresh token", r.oauth, withQuery("token", foreignRefresh), foreignRefresh, "a refresh token"},
		{"refresh token", r.oauth, withParameter("refresh_token", foreignRefresh), foreignRefresh, "a refresh token"},
		{"old refresh token", r.oauth, withParameter("refresh_token", oldRefresh), oldRefresh, "a refresh token"},
		{"assertion by unique ID", r.oauth, withParameter("assertion", byUniqueID), byUniqueID, "109876543210987654321"},
		{"second of a name", r.oauth, httptest.NewRequest(http.MethodPost, "/revoke?token=x&token="+foreignToken, nil), foreignToken, "an access token"},
		{"token exchange", r.oauth, withParameter("subject_token", foreignToken), foreignToken, "an access token"},
		{"token exchange in JSON", r.oauth, withObject("subjectToken", foreignToken), foreignToken, "an access token"},
		{"refresh token in JSON", r.oauth, withObject("refreshToken", foreignRefresh), foreignRefresh, "a refresh token"},
		{"white space", r.oauth, withParameter("token", "\n"+foreignToken), foreignToken, "an access token"},
		{"white space in the query", r.oauth, withQuery("access_token", " "+foreignToken), foreignToken, "an access token"},
		{"assertion in standard base64", r.oauth, withParameter("assertion", standard(t, foreignAssertion)), foreignAssertion, stranger},
	} {
		t.Run(test.name, func(t *testing.T) { // one after the other: they share the log
			r.logs.Reset()
			answer := ask(test.handler, proxied(test.request))
			body := answer.Body.String()
			if answer.Code != http.StatusForbidden || !json.Valid(answer.Body.Bytes()) ||
				!strings.Contains(body, test.says) || !strings.Contains(body, "backup-tool/1.2") {
				t.Errorf("%d %s", answer.Code, body)
			}
			logged := r.logs.String()
			if !strings.Contains(logged, "level=WARN") || !strings.Contains(logged, "program=backup-tool/1.2") {
				t.Errorf("logged: %s", logged)
			}
			for part := range strings.SplitSeq(test.credential, ".") {
				if len(part) > 16 && strings.Contains(logged+body, part) {
					t.Error("the credential is told")
				}
			}
		})
	}
}

func TestOthersPass(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	elsewhere := keys.NewRing("", time.Now)
	foreignToken := r.accessToken(t, token.NewIssuer(elsewhere, time.Now), time.Hour)
	for name, request := range map[string]*http.Request{
		"ours":                            proxied(withBearer(r.accessToken(t, r.issuer, time.Hour))),
		"ours, expired":                   proxied(withBearer(r.accessToken(t, r.issuer, -time.Hour))),
		"no token":                        proxied(withBearer("hello")),
		"not by proxy":                    withBearer(foreignToken),
		"a known account's, by some key":  proxied(withBearer(r.assertion(t, elsewhere, known))),
		"a deleted account's, by its key": proxied(withBearer(r.assertion(t, r.ring, deleted))),
		"another issuer's":                proxied(withBearer(r.assertion(t, elsewhere, "https://token.actions.githubusercontent.com"))),
	} {
		if answer := ask(r.api, request); answer.Code != http.StatusOK || answer.Body.String() != "read body" {
			t.Errorf("%s: %d %s", name, answer.Code, answer.Body)
		}
	}
	account, _ := r.world.Account(known)
	for name, request := range map[string]*http.Request{
		"our refresh token":             proxied(withParameter("refresh_token", r.refreshToken(t, r.issuer))),
		"a refresh token, not by proxy": withParameter("refresh_token", r.refreshToken(t, token.NewIssuer(elsewhere, time.Now))),
		"a known account's unique ID":   proxied(withParameter("assertion", r.assertion(t, elsewhere, account.UniqueID))),
		"our token, in a query":         proxied(withQuery("token", r.accessToken(t, r.issuer, time.Hour))),
	} {
		if answer := ask(r.oauth, request); answer.Code != http.StatusOK {
			t.Errorf("%s: %d %s", name, answer.Code, answer.Body)
		}
	}
	if answer := ask(r.oauth, proxied(withParameter("assertion", "x"))); answer.Code != http.StatusOK || answer.Body.String() != "read assertion=x" {
		t.Errorf("the surface reads %q", answer.Body)
	}
	large := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader(strings.Repeat("x", wire.MaxBody+1)))
	if answer := ask(r.oauth, proxied(large)); answer.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body: %d", answer.Code)
	}
	if r.logs.Len() > 0 {
		t.Errorf("logged: %s", &r.logs)
	}
}

// In gRPC a refusal is a status.
func TestRPC(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	foreignToken := r.accessToken(t, token.NewIssuer(keys.NewRing("", time.Now), time.Now), time.Hour)
	header := ask(r.rpc, proxied(withBearer(foreignToken))).Header()
	if header.Get("Content-Type") != "application/grpc" || header.Get("Grpc-Status") != "7" || !strings.Contains(header.Get("Grpc-Message"), "looks%20real") {
		t.Errorf("refused with %v", header)
	}
	for _, request := range []*http.Request{withBearer(foreignToken), proxied(withBearer(r.accessToken(t, r.issuer, time.Hour)))} {
		if answer := ask(r.rpc, request); answer.Body.String() != "read body" {
			t.Errorf("%v %s", answer.Header(), answer.Body)
		}
	}
}

// Unknown issuers create no files on disk.
func TestNothingIsMadeForStrangers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_ = ask(r.api, proxied(withBearer(r.assertion(t, keys.NewRing("", time.Now), stranger))))
	if _, err := os.Stat(filepath.Join(r.dir, "keys", "accounts")); err == nil {
		t.Error("keys were made for unknown accounts")
	}
}
