package userinfo_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/userinfo"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/server/world/worldtest"
)

const picture = "https://lh3.googleusercontent.com/a/default-user"

// endpoint is a userinfo endpoint in a world with one user.
type endpoint struct {
	*userinfo.Server

	issuer *token.Issuer
	user   *world.User
}

func newEndpoint(t *testing.T) *endpoint {
	t.Helper()
	described := worldtest.Parse(t, `users: [{email: dev@example.com, uniqueId: "7", name: Dev Example}]`)
	user, ok := described.User("dev@example.com")
	if !ok {
		t.Fatal("there is no user")
	}
	issuer := token.NewIssuer(worldtest.Ring(time.Now), time.Now)
	return &endpoint{userinfo.New(store.New(described), issuer), issuer, user}
}

func (e *endpoint) request(t *testing.T, scopes ...string) *http.Request {
	t.Helper()
	access, err := e.issuer.Access(t.Context(), token.ForUser(e.user, "app", scopes), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/oauth2/v3/userinfo", http.NoBody)
	request.Header.Set("Authorization", "Bearer "+access.Text)
	return request
}

// The scopes of a token decide which claims an application gets.
func TestClaims(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	for name, test := range map[string]struct {
		scopes []string
		want   map[string]any
		before map[string]any
	}{
		"openid": {
			[]string{oauthapi.OpenIDScope},
			map[string]any{"sub": "7", "picture": picture},
			map[string]any{"id": "7", "picture": picture},
		},
		"email": {
			[]string{iam.EmailScope},
			map[string]any{"sub": "7", "picture": picture, "email": "dev@example.com", "email_verified": true},
			map[string]any{"id": "7", "picture": picture, "email": "dev@example.com", "verified_email": true},
		},
		"profile": {
			[]string{iam.ProfileScope},
			map[string]any{"sub": "7", "picture": picture, "name": "Dev Example", "given_name": "Dev", "family_name": "Example"},
			map[string]any{"id": "7", "picture": picture, "name": "Dev Example", "given_name": "Dev", "family_name": "Example"},
		},
	} {
		for version, asked := range map[string]struct {
			handle wire.Handler
			want   map[string]any
		}{"3": {e.Describe, test.want}, "2": {e.DescribeOld, test.before}} {
			response, err := asked.handle(e.request(t, test.scopes...))
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]any
			if err := json.Unmarshal([]byte(response.Body), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(asked.want, got); diff != "" {
				t.Errorf("scope %s in version %s (-want +got):\n%s", name, version, diff)
			}
		}
	}
}

// Each version has its own form of errors. Both refuse a token that the emulator did not issue, and
// a token whose scopes do not include the unique ID.
func TestRefusals(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	unknown := e.request(t, oauthapi.OpenIDScope)
	unknown.Header.Set("Authorization", "Bearer ya29.anything")
	for name, test := range map[string]struct {
		request *http.Request
		code    int
	}{
		"unknown":         {unknown, http.StatusUnauthorized},
		"of other scopes": {e.request(t, "https://www.googleapis.com/auth/drive"), http.StatusForbidden},
	} {
		_, err := e.Describe(test.request)
		if refused, ok := errors.AsType[*oauthapi.Error](err); !ok || refused.Status != http.StatusUnauthorized || refused.Code != oauthapi.InvalidRequest {
			t.Errorf("%s: version 3 refuses with %v", name, err)
		}
		_, err = e.DescribeOld(test.request)
		if refused, ok := errors.AsType[*googleapi.Error](err); !ok || refused.Code != test.code {
			t.Errorf("%s: version 2 refuses with %v, want %d", name, err, test.code)
		}
	}
}

// Faults and the journal find the account of a request by its bearer token.
func TestSubject(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	if got := e.Subject(e.request(t, oauthapi.OpenIDScope)).Account; got != "dev@example.com" {
		t.Errorf("the request is about %q", got)
	}
}
