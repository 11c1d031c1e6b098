package pseudonym

import (
	"net/netip"
	"regexp"
	"strings"
	"sync"
)

// form is how values of a kind look.
type form struct {
	kind     Kind
	pattern  *regexp.Regexp          // its last group, if it has any, is the value
	isPublic func(value string) bool // nil: no value is public
}

// forms returns the forms. A form stands before the forms that match parts of its values.
func forms() []form {
	return formsOnce()
}

var formsOnce = sync.OnceValue(func() []form { //nolint:gochecknoglobals // expressions are compiled once, when they are first needed
	return []form{
		{kind: Key, pattern: regexp.MustCompile(`-----BEGIN [A-Z0-9 ]+-----(?:[^-]|-[^-]|\\n)*(?:-----END [A-Z0-9 ]+-----)?`)},
		{kind: Key, pattern: regexp.MustCompile(`\b(?:ssh-[a-z0-9]+|ecdsa-sha2-[a-z0-9]+|sk-[a-z0-9@.-]+) [A-Za-z0-9+/=]{16,}`)},
		{kind: Key, pattern: regexp.MustCompile(`\bAIza[A-Za-z0-9_-]{30,}`)},
		{kind: Token, pattern: regexp.MustCompile(`\beyJ[A-Za-z0-9_-]*(?:\.|%2[Ee])[A-Za-z0-9_-]+(?:(?:\.|%2[Ee])[A-Za-z0-9_-]*)?`)},
		{kind: Token, pattern: regexp.MustCompile(`\bya29(?:\.|%2[Ee])[A-Za-z0-9._~%-]*[A-Za-z0-9_~-]`), isPublic: isMasked},
		{kind: Token, pattern: regexp.MustCompile(`\b1(?:/|%2[Ff])(?:/|%2[Ff])0[A-Za-z0-9_-]{8,}|\bGOCSPX-[A-Za-z0-9_-]+`)},
		{kind: Login, pattern: regexp.MustCompile(`(?:/|\\/|%2[Ff]){2}[^\s/@"<>]+(?::|%3[Aa])[^\s/@"<>]+(?:@|%40)`)},
		{kind: Email, pattern: regexp.MustCompile(`[A-Za-z0-9._+-]+(?:@|%40)[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+`)},
		{kind: Name, pattern: regexp.MustCompile(`\b[a-z0-9-]+(?:\.[a-z0-9-]+)?\.c\.[a-z0-9.:-]+\.internal\b`)},
		{kind: Project, pattern: regexp.MustCompile(`\bprojects(?:/|\\/|%2[Ff])([a-z][a-z0-9-]{4,28}[a-z0-9])\b`), isPublic: isGooglesProject},
		{kind: MAC, pattern: regexp.MustCompile(`\b(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}\b`)},
		{kind: IP, pattern: regexp.MustCompile(`\b(?:[0-9]{1,3}\.){3}[0-9]{1,3}\b`), isPublic: isPublicIP},
		{kind: IP, pattern: regexp.MustCompile(`(?:[0-9a-fA-F]{1,4}:){2,7}(?::?[0-9a-fA-F]{1,4}){0,7}|(?:[0-9a-fA-F]{1,4}:)+:(?:[0-9a-fA-F]{1,4})?`), isPublic: isPublicIP},
		{kind: ID, pattern: regexp.MustCompile(`\b[0-9a-f]{24,}\b`)},
		{kind: ID, pattern: regexp.MustCompile(`\b[0-9]{10,}\b`)},
	}
})

// isGooglesProject reports whether a project is one of Google's projects with images for everybody.
func isGooglesProject(id string) bool { return strings.HasSuffix(id, "-cloud") }

// isMasked reports whether a token is only the form of a token: see Mask.
func isMasked(token string) bool { return Mask(token) == token }

// Mask returns the form of a token: its length, its dots, and the parts of it that open nothing.
func Mask(token string) string {
	open := len(regexp.MustCompile(`\A(?:ya29\.(?:[a-z]\.)?|eyJ[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+\.)?`).FindString(token))
	return token[:open] + regexp.MustCompile(`[^.]`).ReplaceAllString(token[open:], "x")
}

// isPublicIP reports whether an address is the same for everybody, or is not an address at all, such as a
// time of day.
func isPublicIP(text string) bool {
	address, err := netip.ParseAddr(text)
	if err != nil {
		return true
	}
	isMask := strings.HasPrefix(text, "255.")
	return address.IsLoopback() || address.IsUnspecified() || address.IsLinkLocalUnicast() || isMask
}
