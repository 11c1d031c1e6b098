package record

import (
	"cmp"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"

	"gcp-metadata-emulator/server/journal"
)

// hidden replaces a secret.
const hidden = "REDACTED"

// redact replaces secrets in all files: values whose names tell that they are secrets, and secrets within
// other values.
func (r *Recording) redact(tree map[string]any, scenario []happening, seen map[string]string) {
	secrets := seen
	collect(secrets, "", tree)
	for _, change := range scenario {
		for path, value := range change.Set {
			collect(secrets, path[strings.LastIndex(path, "/")+1:], value)
		}
	}
	var pairs []string
	longest := slices.SortedFunc(maps.Keys(secrets), func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	for _, secret := range longest { // one may be part of another
		instead := secrets[secret]
		// In JSON a text has escapes, which differ between encoders.
		pairs = append(pairs, secret, instead, escaped(secret, false), escaped(instead, false), escaped(secret, true), escaped(instead, true))
	}
	r.Redacted = len(secrets)
	replacer := strings.NewReplacer(pairs...)
	for name, text := range r.Files {
		r.Files[name] = []byte(replacer.Replace(string(text)))
	}
}

// collect finds secrets, and what stands in their place, below an entry.
func collect(secrets map[string]string, name string, value any) {
	switch value := value.(type) {
	case map[string]any:
		for key, entry := range value {
			collect(secrets, key, entry)
		}
	case []any:
		for _, entry := range value {
			collect(secrets, name, entry)
		}
	case string:
		if instead := withoutSecret(name, value); instead != value {
			secrets[value] = instead
		}
	}
}

// withoutSecret returns the value of an entry without secrets.
func withoutSecret(name, value string) string {
	const shortest = 4 // a shorter value could be part of any text
	isSecretName := regexp.MustCompile(`(?i)passw|secret|token|credential|private|api-?_?key|kube-env|windows-keys`).MatchString(name)
	if isSecretName && name != "driftToken" && len(value) >= shortest && !strings.EqualFold(value, "true") && !strings.EqualFold(value, "false") {
		return hidden
	}
	value = regexp.MustCompile(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)`).ReplaceAllString(value, hidden)
	return journal.Redacted(value)
}

// escaped returns a text as it stands in a JSON string.
func escaped(text string, html bool) string {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(html)
	_ = encoder.Encode(text) //nolint:errchkjson // a text can be encoded
	return strings.Trim(out.String(), "\"\n")
}
