package oauthapi

import (
	"net/url"
	"slices"
	"strings"
)

// Scopes for identity claims
// (https://developers.google.com/identity/protocols/oauth2/scopes#oauth2). Google also accepts
// OpenID Connect's short names.
const (
	OpenIDScope  = "openid"
	EmailScope   = "https://www.googleapis.com/auth/userinfo.email"
	ProfileScope = "https://www.googleapis.com/auth/userinfo.profile"

	emailAlias   = "email"
	profileAlias = "profile"
)

// Canonical returns scopes as Google's server grants them to a user: without duplicates, with
// long names, and with openid if there is an e-mail or profile scope.
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

// LongName returns the long name of a scope that has two names, and other scopes unchanged.
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

// TellEmail reports whether the scopes cover the e-mail address.
func TellEmail(scopes []string) bool {
	return slices.Contains(scopes, EmailScope) || slices.Contains(scopes, emailAlias)
}

// TellProfile reports whether the scopes cover the user's name.
func TellProfile(scopes []string) bool {
	return slices.Contains(scopes, ProfileScope) || slices.Contains(scopes, profileAlias)
}

// TellIdentity reports whether the scopes cover at least the unique ID.
func TellIdentity(scopes []string) bool {
	return slices.ContainsFunc(IdentityScopes(), func(scope string) bool { return slices.Contains(scopes, scope) })
}

// IdentityScopes returns the scopes that each cover the unique ID.
func IdentityScopes() []string {
	return []string{OpenIDScope, EmailScope, ProfileScope, emailAlias, profileAlias}
}

// IsScope reports whether text has the form of a Google OAuth 2.0 scope
// (https://developers.google.com/identity/protocols/oauth2/scopes). It does not check that the
// scope exists. Older scopes are URLs on several hosts under google.com.
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
