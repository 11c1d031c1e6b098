package purpose

import (
	"cmp"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// members returns the names under which JSON and YAML documents have a token, the best first: answers
// of token endpoints, of the IAM Credentials API, of this emulator and of gcloud.
func members() []string {
	return []string{"id_token", "idToken", "access_token", "accessToken", "token", "signedJwt", "value"}
}

// Clean returns the token in a text that somebody has copied from a header, a program's output, a
// document or source code.
func Clean(text string) string {
	text = strings.TrimSpace(text)
	if found, ok := inJSON(text); ok {
		return bare(found)
	}
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	for _, member := range members() {
		for _, line := range lines {
			if value, ok := strings.CutPrefix(strings.TrimSpace(line), member+":"); ok {
				return bare(value)
			}
		}
	}
	for i, line := range lines {
		lines[i] = bare(line)
	}
	if len(lines) > 1 { // sentences stand around the token in the output of programs
		lines = slices.DeleteFunc(lines, func(line string) bool { return strings.ContainsAny(line, " \t") })
	}
	joined := strings.Join(lines, "")
	if strings.ContainsAny(joined, " \t\"'{}") { // a command, or a literal in a programming language
		return cmp.Or(regexp.MustCompile(`\b(?:eyJ[\w-]*\.[\w-]*\.[\w-]*|ya29\.[\w.-]+|1//0[\w-]+)`).FindString(text), joined)
	}
	return joined
}

// inJSON returns the token in a JSON document. ok is false if the text is not a document with a token.
func inJSON(text string) (found string, ok bool) {
	var document any
	if json.Unmarshal([]byte(text), &document) != nil {
		return "", false
	}
	return within(document)
}

// within returns the token in a value of a JSON document.
func within(value any) (found string, ok bool) {
	switch value := value.(type) {
	case string:
		return value, true
	case []any:
		return first(value)
	case map[string]any:
		var inner []any
		for _, member := range members() {
			if text, ok := value[member].(string); ok {
				return text, true
			}
		}
		for _, name := range slices.Sorted(maps.Keys(value)) {
			if _, isText := value[name].(string); !isText { // a text with another name is not a token
				inner = append(inner, value[name])
			}
		}
		return first(inner)
	}
	return "", false
}

// first returns the token in the first value with a token.
func first(values []any) (found string, ok bool) {
	for _, value := range values {
		if found, ok := within(value); ok {
			return found, true
		}
	}
	return "", false
}

// bare removes everything around a token in a line: quotes, the name of a header or of a variable,
// and the scheme Bearer.
func bare(line string) string {
	around := regexp.MustCompile(`(?i)^(?:[\s"'` + "`" + `]+|b["']|-h\s+|[a-z][\w-]*:\s*|(?:export\s+)?[a-z_]\w*=|bearer\s+)`)
	for {
		rest := line[len(around.FindString(line)):]
		if rest == line || rest == "" || rest[0] == '.' || rest[0] == '=' { // = was padding
			break
		}
		line = rest
	}
	return strings.TrimRight(line, " \t\"'`,;")
}
