package integration_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	theUser     = "dev@example.com"
	theUserName = "Dev Example"
	theClient   = "demo.apps.googleusercontent.com"

	userScope = "openid https://www.googleapis.com/auth/userinfo.email https://www.googleapis.com/auth/userinfo.profile " + cloudPlatform
)

// goUserTokens holds the tokens of a user, as golang.org/x/oauth2 returns them.
type goUserTokens struct {
	Access     accessToken
	ID, Scope  string
	HasRefresh bool
}

func (r *rig) checkGoUser(t *testing.T, got goUserTokens) {
	t.Helper()
	checkExpiry(t, "access token", got.Access.Expiry)
	if got.Access.Type != "Bearer" || !strings.HasPrefix(got.Access.Value, "ya29.a0") || got.Scope != userScope || !got.HasRefresh {
		t.Errorf("%.20q… of type %q, scope %q, refresh token %v", got.Access.Value, got.Access.Type, got.Scope, got.HasRefresh)
	}
	info := r.userTokeninfo(t, got.Access.Value)
	if info["azp"] != theClient || info["aud"] != theClient || info["email"] != theUser || info["access_type"] != "offline" {
		t.Errorf("tokeninfo: %v", info)
	}
	claims, err := r.jwks(t, "/oauth2/v3/certs").verify(got.ID)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"aud": theClient, "azp": theClient, "sub": info["sub"], "iss": "https://accounts.google.com",
		"email": theUser, "email_verified": true, "name": theUserName, "given_name": "Dev", "family_name": "Example",
	} {
		if diff := cmp.Diff(want, claims[name]); diff != "" {
			t.Errorf("claim %s (-want +got):\n%s", name, diff)
		}
	}
}

// userTokeninfo asks the service's emulator, which did not issue the token, to describe it.
func (r *rig) userTokeninfo(t *testing.T, token string) map[string]string {
	t.Helper()
	var info map[string]string
	r.fetch(t, "/tokeninfo?access_token="+url.QueryEscape(token), &info)
	return info
}

func TestGoUsers(t *testing.T) {
	r := newRig(t)
	got := report[struct {
		Code, Refreshed, Device goUserTokens
		Userinfo                struct{ ID, Email, Name string }
		Revoked                 string
	}](t, r.exec(t, r.stage.GoCloud, "users", theClient, theUser))
	for name, tokens := range map[string]goUserTokens{"code": got.Code, "refreshed": got.Refreshed, "device": got.Device} {
		t.Run(name, func(t *testing.T) { r.checkGoUser(t, tokens) })
	}
	if got.Userinfo.Email != theUser || got.Userinfo.Name != theUserName || got.Userinfo.ID != r.userTokeninfo(t, got.Device.Access.Value)["sub"] {
		t.Errorf("userinfo %+v", got.Userinfo)
	}
	if got.Revoked != "invalid_grant: Token has been expired or revoked." {
		t.Errorf("a revoked refresh token was refused with %q", got.Revoked)
	}
}

func TestNodeUsers(t *testing.T) {
	needNode(t, theStage())
	r := newRig(t)
	got := report[struct {
		Email, Audience, AccessToken, IDToken, Refusal string
		Info                                           struct {
			Email, Aud string
			Scopes     []string
		}
	}](t, r.exec(t, r.stage.Node, nodeFolder+"/users.mjs", theClient, theUser, audience))
	if got.Email != theUser || got.Audience != theClient || got.Info.Email != theUser || got.Info.Aud != theClient || len(got.Info.Scopes) != 3 {
		t.Errorf("the library saw %+v", got)
	}
	if info := r.userTokeninfo(t, got.AccessToken); info["email"] != theUser {
		t.Errorf("tokeninfo: %v", info)
	}
	claims, err := r.jwks(t, "/oauth2/v3/certs").verify(got.IDToken)
	if err != nil || claims["aud"] != audience || claims["azp"] != theClient || claims["email"] != theUser {
		t.Errorf("fetchIdToken: %v, %v", claims, err)
	}
	if !strings.Contains(got.Refusal, "invalid_grant") {
		t.Errorf("a revoked refresh token was refused with %q", got.Refusal)
	}
}

func TestPythonUsers(t *testing.T) {
	r := newRig(t)
	python, folder := googleAuth(t)
	got := report[struct {
		Value, IDToken, Narrowed, Refusal string
		GrantedScopes                     []string
	}](t, r.exec(t, "env", "PYTHONPATH="+folder, "PYTHONDONTWRITEBYTECODE=1", python, "clients/python/users.py", theClient, theUser))
	if info := r.userTokeninfo(t, got.Value); info["email"] != theUser || info["aud"] != theClient {
		t.Errorf("tokeninfo: %v", info)
	}
	if info := r.userTokeninfo(t, got.Narrowed); info["scope"] != cloudPlatform || !slices.Equal(got.GrantedScopes, []string{cloudPlatform}) {
		t.Errorf("tokeninfo of a narrowed token: %v, scopes granted %q", info, got.GrantedScopes)
	}
	claims, err := r.jwks(t, "/oauth2/v3/certs").verify(got.IDToken)
	if err != nil || claims["aud"] != theClient || claims["email"] != theUser {
		t.Errorf("id_token: %v, %v", claims, err)
	}
	if !strings.Contains(got.Refusal, "invalid_scope: Bad Request") {
		t.Errorf("a scope that was not granted was refused with %q", got.Refusal)
	}
}

func TestGcloudLogin(t *testing.T) {
	r := newGcloudRig(t)
	python, _ := googleAuth(t)
	got := report[struct {
		Accounts                   []gcloudAccount
		AccessToken, IdentityToken string
	}](t, r.exec(t, python, "clients/gcloud/login.py"))
	if diff := cmp.Diff([]gcloudAccount{{defaultAccount, ""}, {theUser, "ACTIVE"}}, got.Accounts); diff != "" {
		t.Errorf("accounts (-want +got):\n%s", diff)
	}
	if info := r.userTokeninfo(t, got.AccessToken); info["email"] != theUser {
		t.Errorf("tokeninfo: %v", info)
	}
	claims, err := r.jwks(t, "/oauth2/v3/certs").verify(got.IdentityToken)
	if err != nil || claims["email"] != theUser {
		t.Errorf("print-identity-token: %v, %v", claims, err)
	}
}
