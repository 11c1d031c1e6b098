package oauthapi

import (
	"net/url"
	"slices"
	"strings"

	"gcp-metadata-emulator/server/iam"
)

// OpenIDScope is OpenID Connect's own scope, which covers the unique ID.
const OpenIDScope = "openid"

// UserScopes returns the canonical scopes that Google's server grants to a user: the requested
// scopes, and openid if there is an e-mail or profile scope.
func UserScopes(requested []string) []string {
	granted := iam.CanonicalScopes(requested)
	if (TellEmail(granted) || TellProfile(granted)) && !slices.Contains(granted, OpenIDScope) {
		granted = append(granted, OpenIDScope)
	}
	return granted
}

// TellEmail reports whether a token's scopes cover the e-mail address.
func TellEmail(scopes []string) bool { return slices.Contains(scopes, iam.EmailScope) }

// TellProfile reports whether a token's scopes cover the user's name.
func TellProfile(scopes []string) bool { return slices.Contains(scopes, iam.ProfileScope) }

// TellIdentity reports whether a token's scopes cover at least the unique ID.
func TellIdentity(scopes []string) bool {
	return slices.ContainsFunc(IdentityScopes(), func(scope string) bool { return slices.Contains(scopes, scope) })
}

// IdentityScopes returns the scopes that each cover the unique ID.
func IdentityScopes() []string {
	return []string{OpenIDScope, iam.EmailScope, iam.ProfileScope}
}

// IsScope reports whether text has the form of a Google OAuth 2.0 scope
// (https://developers.google.com/identity/protocols/oauth2/scopes). It does not check that the
// scope exists. Older scopes are URLs on several hosts under google.com.
func IsScope(text string) bool {
	if name, ok := strings.CutPrefix(text, "https://www.googleapis.com/auth/"); ok {
		return name != ""
	}
	if slices.Contains([]string{OpenIDScope, iam.EmailAlias, iam.ProfileAlias}, text) {
		return true
	}
	parsed, err := url.Parse(text)
	return err == nil && (parsed.Scheme == "https" || parsed.Scheme == "http") &&
		strings.HasSuffix(parsed.Host, ".google.com") && parsed.Path != ""
}
