package journal

import "strings"

const (
	// redacted replaces a secret.
	redacted = "REDACTED"
	// placeholder stands for a token in the sentences of the emulator, such as Authorization: Bearer TOKEN, or
	// "is not a bearer token".
	placeholder = "TOKEN"
)

// Redacted returns a text of a request, such as its path and query, without possible secrets.
// It removes anything like a Google credential, a JWT or a bearer token, and the values of
// parameters with secret names, percent-encoded or not. It returns a text without secrets
// unchanged.
//
// Redacted runs for every request. It allocates memory only for texts with secrets or with
// needless escapes.
func Redacted(text string) string {
	text = withoutSecrets(text)
	if !hasStrangeEscape(text) {
		return text
	}
	var out strings.Builder
	for rest := text; rest != ""; {
		end := strings.IndexAny(rest, "?&;#") + 1
		if end == 0 {
			end = len(rest)
		}
		out.WriteString(withoutHiddenSecret(rest[:end]))
		rest = rest[end:]
	}
	return out.String()
}

// withoutSecrets replaces secrets, except if they are percent-encoded.
func withoutSecrets(text string) string {
	var out strings.Builder
	from, to := secret(text)
	for ; from < to; from, to = secret(text) {
		out.Grow(len(text) + len(redacted))
		out.WriteString(text[:from])
		out.WriteString(redacted)
		text = text[to:]
	}
	if out.Len() == 0 {
		return text
	}
	out.WriteString(text)
	return out.String()
}

// withoutHiddenSecret handles a part of a URL: the path or a query pair, with its final separator. If an
// escape hides a secret in it, the function replaces all of the possibly secret part.
func withoutHiddenSecret(part string) string {
	if from, to := secret(unescaped(part)); from == to {
		return part
	}
	kept := ""
	if name, _, isPair := strings.Cut(part, "="); isPair {
		if from, to := secret(unescaped(name)); from == to {
			kept = name + "="
		}
	}
	if kept == "" && strings.HasPrefix(part, "/") {
		kept = "/"
	}
	end := ""
	if last := part[len(part)-1:]; strings.Contains("?&;#", last) {
		end = last
	}
	return kept + redacted + end
}

// secret returns the range of the first secret in text. If there is no secret, from equals to.
func secret(text string) (from, to int) {
	for i := range len(text) {
		switch text[i] {
		case 'y', 'e', '1', 'G', 'A':
			if !mayBeCredential(text[i:]) || isWithinWord(text, i) {
				continue
			}
			from, to = i, i+credential(text[i:])
		case 'b', 'B':
			from, to = bearer(text, i)
		case '=':
			from, to = value(text, i)
		default:
			continue
		}
		if from < to {
			return from, to
		}
	}
	return 0, 0
}

// isWithinWord reports whether the letter or digit at index at continues a word. If a
// percent-encoded byte precedes it, it does not.
func isWithinWord(text string, at int) bool {
	const escaped = 3
	return at > 0 && isAlphanumeric(text[at-1]) && (at < escaped || text[at-escaped] != '%')
}

// mayBeCredential reports whether a text begins with the first two letters of a prefix that credential
// knows. The letters alone are frequent.
func mayBeCredential(text string) bool {
	if len(text) < 2 {
		return false
	}
	switch text[:2] {
	case "ya", "ey", "1/", "GO", "AI":
		return true
	}
	return false
}

// credential returns the length of the credential at the start of text, or 0. It knows Google's
// access tokens, refresh tokens, API keys and client secrets by their prefixes. It also finds JWTs, which
// start with a JSON object and have at least two parts.
func credential(text string) int {
	const (
		apiKey   = 35 // Google's API keys have 39 letters
		refresh  = "1//0"
		shortest = len(refresh) + 8 // the bare prefix may occur in a path
	)
	switch {
	case strings.HasPrefix(text, "eyJ"):
		n := run(text, isLetterOfToken)
		if _, second, _ := strings.Cut(text[:n], "."); second != "" {
			return n
		}
	case strings.HasPrefix(text, "AIza"):
		if n := run(text, isLetterOfToken); n >= apiKey {
			return n
		}
	case strings.HasPrefix(text, "ya29."), strings.HasPrefix(text, "GOCSPX-"):
		return run(text, isLetterOfToken)
	case strings.HasPrefix(text, refresh):
		if n := len(refresh) + run(text[len(refresh):], isLetterOfToken); n >= shortest {
			return n
		}
	}
	return 0
}

// bearer returns the range of the token after the word "bearer" at index at, as in an
// Authorization header.
func bearer(text string, at int) (from, to int) {
	from = at + len("bearer ")
	if from >= len(text) || text[from-1] != ' ' && text[from-1] != '+' || !strings.EqualFold(text[at:from-1], "bearer") {
		return 0, 0
	}
	to = from + run(text[from:], func(c byte) bool { return c > ' ' && c != '&' && c != ';' })
	if strings.EqualFold(strings.TrimRight(text[from:to], ",.:"), placeholder) {
		return 0, 0
	}
	return from, to
}

// value returns the range of a secret parameter's value, given the index of its equals sign.
func value(text string, at int) (from, to int) {
	begins := at
	for begins > 0 && isLetterOfToken(text[begins-1]) {
		begins--
	}
	if !isSecretName(text[begins:at]) {
		return 0, 0
	}
	return at + 1, at + 1 + run(text[at+1:], isOfValue)
}

// run returns the number of leading bytes for which is returns true.
func run(text string, is func(byte) bool) int {
	for i := range len(text) {
		if !is(text[i]) {
			return i
		}
	}
	return len(text)
}

// Sets of ASCII characters below '@' and from '@' on, with a bit for each. A look-up in a set costs less
// than comparisons, and each byte of a long token is looked up.
const (
	numerals    = (1<<10 - 1) << '0'                      // 0 to 9
	capitals    = (1<<26 - 1) << ('A' - half)             // A to Z
	letters     = capitals | capitals<<('a'-'A')          // A to Z and a to z
	ofTokenLow  = numerals | 1<<'.' | 1<<'-' | 1<<'%'     // below '@'
	ofTokenHigh = letters | 1<<('_'-half) | 1<<('~'-half) // from '@' on
	endsOfValue = 1<<'&' | 1<<';' | 1<<'#' | 1<<'"' | 1<<'\'' | 1<<' '

	half = 64
)

func isAlphanumeric(c byte) bool { return isIn(c, numerals, letters) }

func isLetterOfToken(c byte) bool { return isIn(c, ofTokenLow, ofTokenHigh) }

// isOfValue reports whether the value of a parameter goes on with a byte.
func isOfValue(c byte) bool { return !isIn(c, endsOfValue, 0) }

// isIn reports whether a byte is in a set of ASCII characters.
func isIn(c byte, low, high uint64) bool {
	set := low
	if c >= half {
		set = high
	}
	return c < 2*half && set>>(c%half)&1 == 1
}

// isSecretName reports whether a parameter with this name carries a credential, in OAuth 2.0 or
// elsewhere.
func isSecretName(name string) bool {
	name = strings.ToLower(name)
	switch name {
	case "code", "code_verifier", "device_code", "user_code", "authorization", "auth", "sig",
		"key", "apikey", "api_key", "api-key", "x-goog-api-key", "private_key", "privatekey", "access_key", "accesskey":
		return true
	}
	for _, part := range [...]string{"token", "secret", "password", "assertion", "signature", "credential"} {
		if strings.Contains(name, part) {
			return !strings.HasSuffix(name, "_type") // subject_token_type
		}
	}
	return false
}

// hasStrangeEscape reports whether text has needless escapes, or escapes that could hide a
// secret. Clients do not write such escapes in their own URLs.
func hasStrangeEscape(text string) bool {
	for at := strings.IndexByte(text, '%'); at >= 0; {
		c, ok := escape(text[at:])
		switch {
		case !ok:
		case c == '/':
			if at > 0 && text[at-1] == '1' { // as in a refresh token
				return true
			}
		case c == ' ':
			if at > 0 && text[at-1]|0x20 == 'r' { // as before a bearer token
				return true
			}
		case c == '=' || isLetterOfToken(c):
			return true
		}
		next := strings.IndexByte(text[at+1:], '%')
		if next < 0 {
			return false
		}
		at += 1 + next
	}
	return false
}

// escape decodes the percent-encoded byte at the start of text.
func escape(text string) (byte, bool) {
	const length = 3
	if len(text) < length {
		return 0, false
	}
	const digits = "0123456789abcdef0123456789ABCDEF"
	high, low := strings.IndexByte(digits, text[1]), strings.IndexByte(digits, text[2])
	return byte(high<<4 | low&0xf), high >= 0 && low >= 0 //nolint:gosec // the conversion drops the bit of upper-case digits
}

// unescaped decodes the percent-encoded bytes in text, and keeps invalid escapes.
func unescaped(text string) string {
	var out strings.Builder
	for {
		plain, rest, more := strings.Cut(text, "%")
		out.WriteString(plain)
		if !more {
			return out.String()
		}
		if c, ok := escape("%" + rest); ok {
			out.WriteByte(c)
			rest = rest[2:]
		} else {
			out.WriteByte('%')
		}
		text = rest
	}
}
