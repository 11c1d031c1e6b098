package pseudonym

import (
	"regexp"
	"strings"
	"sync"
)

// plain are the expressions that decide whether a text is plain.
type plain struct {
	word, plainWord, secretName, credentials *regexp.Regexp
}

var plainOnce = sync.OnceValue(func() plain { //nolint:gochecknoglobals // expressions are compiled once, when they are first needed
	return plain{
		word: regexp.MustCompile(`[A-Za-z0-9]+`),
		plainWord: regexp.MustCompile(`\A(?:` + strings.Join([]string{
			`[a-z]{1,18}|[A-Z]{1,18}|[A-Z]?[a-z]+(?:[A-Z][a-z]+){1,4}|[A-Z][a-z]{1,17}`, // letters as words have them
			`[0-9]{1,9}`,
			`[A-Za-z0-9]{1,3}`, // n1, c2d, 30s
			`v[0-9]{1,8}|x+`,
			`(?:[0-9]{1,5}(?:ms|us|ns|h|m|s|d|px|dpi|[KMGT]i?B?)){1,3}|[0-9]{1,4}x[0-9]{1,4}(?:dp)?`,              // durations and sizes
			`(?:north|south)?(?:north|south|east|west|central|northeast|southeast|northwest|southwest)[0-9]{1,2}`, // of regions
			`(?i:ipv[46]s?|dhcpv[46]|utf8|sha(?:1|256|512)|[rehp]s(?:256|384|512)|http2|oauth2|ya29|x509|base64|e?x86)`,
		}, `|`) + `)\z`),
		secretName:  regexp.MustCompile(`(?i)passw|passphrase|pwd|secret|token|credential|private|signature|cookie|api[-_]?key|(?:access|account|encryption|signing|master|ssh|license)[-_]?keys?\b|kube-env|windows-keys|authorization|(?:\A|[^a-z/])(?:pass|pw|auth)(?:[^a-z/]|\z)`),
		credentials: regexp.MustCompile(`://[^/\s]*@`),
	}
})

// words returns the expression of a word.
func words() *regexp.Regexp { return plainOnce().word }

// isPlainWord reports whether a word looks like a word of a language, a number or a name of Google's.
func isPlainWord(word string) bool { return plainOnce().plainWord.MatchString(word) }

// IsSecretName reports whether the value under a name is likely a secret.
func IsSecretName(name string) bool { return plainOnce().secretName.MatchString(name) }

// IsPlain reports whether a value is too plain to be a secret: it is one short line of plain words without
// escapes, and no word announces a secret.
func IsPlain(value string) bool {
	const longest, most = 128, 12
	if len(value) > longest || strings.ContainsAny(value, "\n\r\\") || IsSecretName(value) || plainOnce().credentials.MatchString(value) {
		return false
	}
	found := words().FindAllString(value, -1)
	for _, word := range found {
		if !isPlainWord(word) {
			return false
		}
	}
	return len(found) <= most && isASCII(value)
}

// isASCII reports whether a text has only ASCII's printable characters.
func isASCII(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
}
