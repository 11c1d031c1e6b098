package iam

import "slices"

// OAuth scopes that have a short name in OpenID Connect too
// (https://developers.google.com/identity/protocols/oauth2/scopes#oauth2).
const (
	EmailScope   = "https://www.googleapis.com/auth/userinfo.email"
	ProfileScope = "https://www.googleapis.com/auth/userinfo.profile"

	EmailAlias   = "email"
	ProfileAlias = "profile"
)

// CanonicalScopes returns scopes as tokens carry them: by their long names and without
// duplicates, in the order of the request.
func CanonicalScopes(scopes []string) []string {
	seen := make(map[string]bool, len(scopes))
	var canonical []string
	for _, scope := range scopes {
		scope = longName(scope)
		if !seen[scope] {
			canonical, seen[scope] = append(canonical, scope), true
		}
	}
	return canonical
}

func longName(scope string) string {
	switch scope {
	case EmailAlias:
		return EmailScope
	case ProfileAlias:
		return ProfileScope
	default:
		return scope
	}
}

// CoverScopes reports whether all wanted scopes are granted, each under any of its names.
func CoverScopes(granted, wanted []string) bool {
	granted = CanonicalScopes(granted)
	return !slices.ContainsFunc(CanonicalScopes(wanted), func(scope string) bool { return !slices.Contains(granted, scope) })
}
