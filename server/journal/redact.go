package journal

import (
	"net/url"
	"strings"
)

// redacted stands for a secret.
const redacted = "REDACTED"

// Redacted is a path with its query, without the values that may be secrets: those of
// parameters whose names say so, and those that look like tokens. A path without such
// parameters is returned as it is.
func Redacted(path string) string {
	before, query, ok := strings.Cut(path, "?")
	if !ok || !mayHoldSecret(query) {
		return path
	}
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		if name, value, _ := strings.Cut(pair, "="); isSecret(name, value) {
			pairs[i] = name + "=" + redacted
		}
	}
	return before + "?" + strings.Join(pairs, "&")
}

func mayHoldSecret(query string) bool {
	for pair := range strings.SplitSeq(query, "&") {
		if name, value, _ := strings.Cut(pair, "="); isSecret(name, value) {
			return true
		}
	}
	return false
}

func isSecret(name, value string) bool {
	if value == "" {
		return false
	}
	if strings.Contains(name, "%") { // an escape may hide any letter
		if plain, err := url.QueryUnescape(name); err == nil {
			name = plain
		}
	}
	return isSecretName(name) || isCredential(value)
}

// isSecretName knows the parameters of OAuth 2.0 that carry credentials, and their like.
func isSecretName(name string) bool {
	switch strings.ToLower(name) {
	case "code", "key", "assertion", "client_assertion", "password", "client_secret":
		return true
	default:
		return strings.Contains(strings.ToLower(name), "token")
	}
}

// isCredential knows Google's access tokens, and JWTs by the beginning of a JSON object.
func isCredential(value string) bool {
	return strings.HasPrefix(value, "ya29.") || strings.HasPrefix(value, "eyJ") && strings.Count(value, ".") > 1
}
