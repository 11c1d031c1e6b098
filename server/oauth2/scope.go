package oauth2

import (
	"slices"
	"strings"
)

// CloudPlatformScope is the scope that covers every Google Cloud API.
const CloudPlatformScope = "https://www.googleapis.com/auth/cloud-platform"

// IsScope tells whether a text has the form of one of Google's OAuth 2.0 scopes
// (https://developers.google.com/identity/protocols/oauth2/scopes).
func IsScope(text string) bool {
	name, isScope := strings.CutPrefix(text, "https://www.googleapis.com/auth/")
	if isScope {
		return name != ""
	}
	return slices.Contains([]string{
		"openid", "email", "profile",
		"https://mail.google.com/",
		"https://www.google.com/calendar/feeds",
		"https://www.google.com/m8/feeds",
	}, text)
}
