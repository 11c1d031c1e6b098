package oauthapi

import (
	"net/url"
	"slices"
	"strings"
)

// Scopes that cover who somebody is
// (https://developers.google.com/identity/protocols/oauth2/scopes#oauth2). Those of OpenID
// Connect have a second name at Google's.
const (
	OpenIDScope  = "openid"
	EmailScope   = "https://www.googleapis.com/auth/userinfo.email"
	ProfileScope = "https://www.googleapis.com/auth/userinfo.profile"

	emailAlias   = "email"
	profileAlias = "profile"
)

// Canonical is a list of scopes as Google's server grants it to a user: each once, under the
// longer of its names, and openid with those of OpenID Connect.
func Canonical(scopes []string) []string {
	var granted []string
	identifies := false
	for _, scope := range scopes {
		scope = LongName(scope)
		identifies = identifies || scope == EmailScope || scope == ProfileScope
		if !slices.Contains(granted, scope) {
			granted = append(granted, scope)
		}
	}
	if identifies && !slices.Contains(granted, OpenIDScope) {
		granted = append(granted, OpenIDScope)
	}
	return granted
}

// LongName is the longer of a scope's names.
func LongName(scope string) string {
	switch scope {
	case emailAlias:
		return EmailScope
	case profileAlias:
		return ProfileScope
	default:
		return scope
	}
}

// TellEmail tells whether scopes cover somebody's e-mail address.
func TellEmail(scopes []string) bool {
	return slices.Contains(scopes, EmailScope) || slices.Contains(scopes, emailAlias)
}

// TellProfile tells whether scopes cover somebody's name.
func TellProfile(scopes []string) bool {
	return slices.Contains(scopes, ProfileScope) || slices.Contains(scopes, profileAlias)
}

// TellIdentity tells whether scopes cover who somebody is, by their unique ID at least.
func TellIdentity(scopes []string) bool {
	return slices.ContainsFunc(IdentityScopes(), func(scope string) bool { return slices.Contains(scopes, scope) })
}

// IdentityScopes are those of which one is enough to know who somebody is.
func IdentityScopes() []string {
	return []string{OpenIDScope, EmailScope, ProfileScope, emailAlias, profileAlias}
}

// IsScope tells whether a text has the form of one of Google's OAuth 2.0 scopes
// (https://developers.google.com/identity/protocols/oauth2/scopes): there is no list here of
// which exist. Older ones are URLs of several hosts of Google's.
func IsScope(text string) bool {
	if name, ok := strings.CutPrefix(text, "https://www.googleapis.com/auth/"); ok {
		return name != ""
	}
	if slices.Contains([]string{OpenIDScope, emailAlias, profileAlias}, text) {
		return true
	}
	parsed, err := url.Parse(text)
	return err == nil && (parsed.Scheme == "https" || parsed.Scheme == "http") &&
		strings.HasSuffix(parsed.Host, ".google.com") && parsed.Path != ""
}
