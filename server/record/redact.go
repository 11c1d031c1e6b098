package record

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/pseudonym"
	"gcp-metadata-emulator/server/script"
)

// redactor replaces secrets. It keeps the values that Google's server derives from the properties of a workload,
// unless they have the form of a key or of a token. Of the values that a user has set, it keeps only switches and
// numbers. Of all other values, it keeps only plain ones.
type redactor struct {
	names *pseudonym.Names
	paths map[string]bool // of the entries of the tree, see pathOf
	kept  strings.Builder // texts of the answers that stay, even if a secret has the same value
}

func newRedactor() *redactor {
	names := pseudonym.NewOfSecrets("REDACTED-")
	names.Allow("REDACTED KEY LOGIN NAME TOKEN VALUE WORD") // of which the names are made
	return &redactor{names: names, paths: map[string]bool{}}
}

// document returns a document of the tree below a path, in JSON.
func (r *redactor) document(text string, base []string) (string, error) {
	return (&rewriter{base: base, keys: r.key, values: r.value}).rewrite(text)
}

// key returns a key of the tree that is below a path.
func (r *redactor) key(path []string, key string) string {
	const longest = 12 // of a word that a user may have made up
	if shown := r.names.RedactForms(key); shown != key {
		return r.names.Hide(pseudonym.Name, key)
	}
	below := append(slices.Clone(path), key)
	isOdd := !regexp.MustCompile(`\A[A-Za-z0-9._@:/-]*\z`).MatchString(key) // Google allows no such names of attributes
	if shown := r.names.Redact(key); isName(shown) || isOdd && (isOfUser(below) || shown != key) {
		return r.names.Hide(pseudonym.Name, key) // it is the value of an attribute, or has one
	}
	for _, word := range strings.FieldsFunc(key, func(c rune) bool { return strings.ContainsRune("-_.@:/", c) }) {
		if len(word) > longest && !pseudonym.IsPlain(word) && !isGoogles(below) && !pseudonym.IsSecretName(word) {
			return r.names.Hide(pseudonym.Name, key)
		}
	}
	return key
}

// value returns the value at a path of the tree.
func (r *redactor) value(path []string, text string) string {
	name := nameOf(path)
	isSecret := pseudonym.IsSecretName(name)
	isSwitch := text == "" || strings.EqualFold(text, "true") || strings.EqualFold(text, "false")
	isNumber := regexp.MustCompile(`\A-?[0-9]{1,18}(?:\.[0-9]{1,18})?\z`).MatchString(text)
	switch {
	case isSwitch, isNumber && !isSecret, isName(text):
		return text
	case isGoogles(path) && !isOfUser(path), has(googlesAttributes(), name):
		return r.names.RedactForms(text)
	case !pseudonym.IsPlain(text), isSecret, isOfUser(path) && !isSetting(name, text):
		return r.hide(text)
	}
	return r.names.Redact(text) // an attribute may have the same value
}

// isName reports whether a text is the name of a replaced value, maybe of an earlier recording.
func isName(text string) bool {
	return regexp.MustCompile(`\AREDACTED-[A-Z]+-[0-9]+\z`).MatchString(text)
}

// hide returns the name of a value. In every other answer, the name replaces the value too, unless the value is a
// short word or a part of the kept texts.
func (r *redactor) hide(text string) string {
	isShort := pseudonym.IsPlain(text) && len(text) < len("password")
	if isShort || strings.Contains(r.kept.String(), text) {
		return r.names.Name(pseudonym.Value, text)
	}
	return r.names.Hide(pseudonym.Value, text)
}

// nameOf returns the last key of a path.
func nameOf(path []string) string {
	for _, key := range slices.Backward(path) {
		if strings.Trim(key, "0123456789") != "" {
			return key
		}
	}
	return ""
}

// isOfUser reports whether a user sets the value at a path: an attribute, or the description.
func isOfUser(path []string) bool {
	if len(path) < 2 {
		return false
	}
	ofUsers := []string{"attributes", "description", "guestAttributes", "partnerAttributes"}
	return slices.Contains(ofUsers, fixtures.Naming{}.Canonical(path[1]))
}

// isGoogles reports whether Google chooses the value at a path, or a form that no secret has, as for the name of
// an instance.
func isGoogles(path []string) bool {
	if len(path) < 2 {
		return true // instance, project
	}
	var naming fixtures.Naming
	key := naming.Canonical(path[1])
	switch path[0] + "/" + key {
	case "instance/region", "project/projectId", "project/numericProjectId", "universe/universeDomain":
		return len(path) == 2
	case "instance/serviceAccounts":
		return len(path) < 4 || slices.Contains([]string{"aliases", "email", "scopes", "identity", "token"}, path[3])
	case "instance/attributes", "instance/guestAttributes", "instance/partnerAttributes", "instance/description",
		"instance/credentials", "instance/gceWorkloadCertificates", "instance/workloadCertificatesConfigStatus",
		"instance/workloadIdentities", "instance/workloadTrustedRootCerts":
		return len(path) == 2 && key != "description"
	}
	isOwn := slices.ContainsFunc(path, func(name string) bool { return strings.HasPrefix(name, "x-") })
	misfit := fixtures.CheckSetting(path, "", nil)
	return path[0] == "instance" && !isOwn && (misfit == nil || misfit.IsOfType())
}

// steps returns the path of a request in the tree, and reports whether the request is for the tree. It accepts any
// spelling that a server may accept.
func steps(request string) ([]string, bool) {
	target, _, _ := strings.Cut(strings.TrimPrefix(script.Line(request), "GET "), "?")
	if decoded, err := url.PathUnescape(target); err == nil {
		target = decoded
	}
	path := strings.FieldsFunc(target, func(c rune) bool { return c == '/' })
	const above = 2 // computeMetadata and the version
	if len(path) < above || path[0] != "computeMetadata" {
		return path, false
	}
	return path[above:], true
}

// exchange returns a request and its answer.
func (r *redactor) exchange(e exchange) (string, script.Answer) {
	answer := script.Answer{Status: e.answer.Status, Body: r.body(e.request, e.answer)}
	for _, field := range e.answer.Headers {
		answer.Headers = append(answer.Headers, r.field(field))
	}
	return r.names.Redact(e.request), answer
}

// body returns the body of an answer.
func (r *redactor) body(request string, answer script.Answer) string {
	path, isOfTree := steps(request)
	last := path[max(0, len(path)-1):]
	switch {
	case !isOfTree || answer.Status != http.StatusOK:
	case slices.Equal(last, []string{"identity"}):
		if shown, ok := r.identity(answer.Body); ok {
			return shown
		}
	case slices.Equal(last, []string{"token"}): // it is masked
	default:
		return r.names.RedactWords(r.entry(path, request, answer))
	}
	return r.names.RedactWords(answer.Body)
}

// entry returns the body of an answer about an entry of the tree.
func (r *redactor) entry(path []string, request string, answer script.Answer) string {
	kind, _ := answer.Header("Content-Type")
	if strings.Contains(kind, "json") {
		if shown, err := r.document(answer.Body, path); err == nil {
			return shown
		}
	}
	target, query, _ := strings.Cut(script.Line(request), "?")
	switch {
	case strings.Contains(query, "recursive"):
		return r.lines(path, answer.Body)
	case strings.HasSuffix(target, "/"):
		return answer.Body // a listing: the tree has the same words
	default:
		return r.value(path, answer.Body)
	}
}

// field returns a field of a header.
func (r *redactor) field(field string) string {
	name, value, _ := strings.Cut(field, ":")
	value = strings.TrimSpace(value)
	switch strings.ToLower(name) {
	case "etag":
		if regexp.MustCompile(`\A[0-9a-f]{1,16}\z`).MatchString(value) {
			return field
		}
	case "cache-control", "content-type", "date", "server":
		if r.names.RedactWords(value) == value {
			return field
		}
	}
	return r.names.RedactWords(name) + ": " + r.names.RedactWords(r.value([]string{"header", name}, value))
}

// claims returns a part of an ID token.
func (r *redactor) claims(text string) (string, error) {
	number := regexp.MustCompile(`\A(?:[0-9]{1,30}|[0-9a-f]{40})\z`)
	keys := func(_ []string, key string) string { return r.names.RedactWords(key) }
	values := func(path []string, text string) string {
		isID := slices.Contains([]string{"azp", "sub", "kid", "instance_id", "license_id"}, nameOf(path))
		if isID && number.MatchString(text) {
			return text
		}
		return r.names.RedactWords(text)
	}
	return (&rewriter{keys: keys, values: values}).rewrite(text)
}

// identity returns an ID token with a masked signature.
func (r *redactor) identity(token string) (string, bool) {
	parts := strings.Split(token, ".")
	const whole = 3
	if len(parts) != whole {
		return "", false
	}
	for i, part := range parts[:2] {
		text, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			return "", false
		}
		shown, err := r.claims(string(text))
		if err != nil {
			return "", false
		}
		parts[i] = base64.RawURLEncoding.EncodeToString([]byte(shown))
	}
	return strings.Join(append(parts[:2], strings.Repeat("x", len(parts[2]))), "."), true
}

// masked returns the answer to a request for a token, with access tokens and signatures masked: only their lengths
// stay. It returns every other answer as it is.
func masked(request string, answer script.Answer) script.Answer {
	if path, _ := steps(request); !isOfToken(path) {
		return answer
	}
	answer.Body = maskedTokens(maskedMembers(answer.Body))
	answer.Headers = slices.Clone(answer.Headers)
	for i, field := range answer.Headers {
		answer.Headers[i] = maskedTokens(field)
	}
	return answer
}

// isOfToken reports whether a path is that of a token.
func isOfToken(path []string) bool {
	return len(path) > 0 && (path[len(path)-1] == "token" || path[len(path)-1] == "identity")
}

// maskedMembers masks the members of an answer that are named after tokens, also in its form as text.
func maskedMembers(body string) string {
	keys := func(_ []string, key string) string { return key }
	values := func(path []string, text string) string {
		if name := nameOf(path); pseudonym.IsSecretName(name) && name != "token_type" {
			return pseudonym.Mask(text)
		}
		return text
	}
	if shown, err := (&rewriter{keys: keys, values: values}).rewrite(body); err == nil {
		return shown
	}
	return regexp.MustCompile(`(?m)^([a-z_]*token) (\S+)`).ReplaceAllStringFunc(body, func(line string) string {
		name, token, _ := strings.Cut(line, " ")
		return name + " " + pseudonym.Mask(token)
	})
}

// maskedTokens masks access tokens and the signatures of JWTs in a text.
func maskedTokens(text string) string {
	text = regexp.MustCompile(`\bya29\.[A-Za-z0-9._~-]+`).ReplaceAllStringFunc(text, pseudonym.Mask)
	return regexp.MustCompile(`\beyJ[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+`).ReplaceAllStringFunc(text, pseudonym.Mask)
}
