package record

import (
	"encoding/base64"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/pseudonym"
	"gcp-metadata-emulator/server/script"
)

// redactor replaces secrets. It keeps what Google's server makes of the properties of a workload, unless it has
// the form of a key or of a token, and of everything else only what is plain.
type redactor struct{ names *pseudonym.Names }

func newRedactor() *redactor { return &redactor{pseudonym.NewOfSecrets("REDACTED-")} }

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
	for _, word := range strings.FieldsFunc(key, func(c rune) bool { return strings.ContainsRune("-_.@:/", c) }) {
		if len(word) > longest && !pseudonym.IsPlain(word) && !isGoogles(append(slices.Clone(path), key)) && !pseudonym.IsSecretName(word) {
			return r.names.Hide(pseudonym.Name, key)
		}
	}
	return key
}

// value returns the value at a path of the tree.
func (r *redactor) value(path []string, text string) string {
	name := nameOf(path)
	isKept := text == "" || strings.EqualFold(text, "true") || strings.EqualFold(text, "false")
	isSecret := pseudonym.IsSecretName(name)
	switch {
	case isKept:
		return text
	case isGoogles(path), slices.Contains(googlesAttributes(), name):
		return r.names.RedactForms(text)
	case isSecret && (pseudonym.IsPlain(text) && len(text) < len("password")):
		return r.names.Name(pseudonym.Value, text) // a word that other texts may have, too
	case isSecret || !pseudonym.IsPlain(text):
		return r.names.Hide(pseudonym.Value, text)
	}
	return text
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

// googlesAttributes returns attributes of clusters and groups, whose values have words that are not plain.
func googlesAttributes() []string {
	return []string{"cluster-name", "cluster-location", "cluster-uid", "created-by", "instance-template", "vmdnssetting"}
}

// isGoogles reports whether Google chooses the value at a path, or a form for it that no secret has, as for the
// name of an instance.
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

// steps returns the path of the tree that a request is for, and whether it is for the tree.
func steps(request string) ([]string, bool) {
	target, _, _ := strings.Cut(strings.TrimPrefix(script.Line(request), "GET "), "?")
	below, isOfTree := strings.CutPrefix(target, root)
	return strings.FieldsFunc(below, func(c rune) bool { return c == '/' }), isOfTree
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
	case strings.HasSuffix(target, "/"):
		return answer.Body // a listing: its words are those of the tree
	default:
		return r.value(path, answer.Body)
	}
	var lines strings.Builder
	for line := range strings.Lines(answer.Body) {
		name, value, isEntry := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if !isEntry {
			lines.WriteString(line)
			continue
		}
		below := append(slices.Clone(path), strings.Split(name, "/")...)
		lines.WriteString(name + " " + r.value(below, value) + strings.Repeat("\n", strings.Count(line, "\n")))
	}
	return lines.String()
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
		return name + ": " + r.names.RedactWords(value)
	}
	return r.names.RedactWords(name) + ": " + r.value([]string{"header", name}, value)
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

// identity returns an ID token whose signature is masked.
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

// masked returns an answer without access tokens and without signatures, whose lengths stay. Nobody needs them.
func masked(request string, answer script.Answer) script.Answer {
	path, _ := steps(request)
	if isOfToken(path) {
		answer.Body = maskedMembers(answer.Body)
	}
	answer.Body = maskedTokens(answer.Body)
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
