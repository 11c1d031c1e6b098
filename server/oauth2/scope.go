package oauth2

import (
	"net/url"
	"slices"
	"strings"
)

// CloudPlatformScope is the scope that covers every Google Cloud API.
const CloudPlatformScope = "https://www.googleapis.com/auth/cloud-platform"

// IsScope tells whether a text has the form of one of Google's OAuth 2.0 scopes
// (https://developers.google.com/identity/protocols/oauth2/scopes): there is no list here of
// which exist. Older ones are URLs of several hosts of Google's.
func IsScope(text string) bool {
	if name, ok := strings.CutPrefix(text, "https://www.googleapis.com/auth/"); ok {
		return name != ""
	}
	if slices.Contains([]string{"openid", "email", "profile"}, text) {
		return true
	}
	parsed, err := url.Parse(text)
	return err == nil && (parsed.Scheme == "https" || parsed.Scheme == "http") &&
		strings.HasSuffix(parsed.Host, ".google.com") && parsed.Path != ""
}
