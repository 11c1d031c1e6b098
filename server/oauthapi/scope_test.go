package oauthapi_test

import (
	"strings"
	"testing"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/oauthapi"
)

const scopePrefix = "https://www.googleapis.com/auth/"

func TestUserScopes(t *testing.T) {
	t.Parallel()
	for requested, want := range map[string]string{
		"":                     "",
		iam.CloudPlatform:      iam.CloudPlatform,
		"openid":               "openid",
		"email":                scopePrefix + "userinfo.email openid",
		"profile openid email": scopePrefix + "userinfo.profile openid " + scopePrefix + "userinfo.email",
		"email " + scopePrefix + "userinfo.email": scopePrefix + "userinfo.email openid",
		scopePrefix + "drive openid openid":       scopePrefix + "drive openid",
	} {
		if got := strings.Join(oauthapi.UserScopes(strings.Fields(requested)), " "); got != want {
			t.Errorf("UserScopes(%q) = %q, want %q", requested, got, want)
		}
	}
}

func TestWhatScopesTell(t *testing.T) {
	t.Parallel()
	for scope, want := range map[string]struct{ identity, email, profile bool }{
		"":                               {},
		iam.CloudPlatform:                {},
		"openid":                         {identity: true},
		scopePrefix + "userinfo.email":   {identity: true, email: true},
		scopePrefix + "userinfo.profile": {identity: true, profile: true},
	} {
		scopes := strings.Fields(iam.CloudPlatform + " " + scope)
		if got := oauthapi.TellIdentity(scopes); got != want.identity {
			t.Errorf("TellIdentity(%q) = %v", scope, got)
		}
		if got := oauthapi.TellEmail(scopes); got != want.email {
			t.Errorf("TellEmail(%q) = %v", scope, got)
		}
		if got := oauthapi.TellProfile(scopes); got != want.profile {
			t.Errorf("TellProfile(%q) = %v", scope, got)
		}
	}
}
