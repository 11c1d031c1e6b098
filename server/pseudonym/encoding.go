package pseudonym

import (
	"encoding/base64"
	"encoding/json"
	"html"
	"net/url"
	"strings"
)

// encodings returns a value as it stands in texts: as it is, on one line, without its last line end, and as JSON, HTML,
// URLs and base64 have it.
func encodings(value string) []string {
	const shortest = 8 // of a value whose base64, or whose only line, cannot be part of other words
	inJSON := escaped(value, false)
	all := []string{
		value, inJSON, escaped(value, true), strings.ReplaceAll(inJSON, "/", `\/`), html.EscapeString(value),
		url.QueryEscape(value), url.PathEscape(value), strings.ReplaceAll(url.QueryEscape(value), "+", "%20"),
	}
	if trimmed := strings.TrimRight(value, "\n"); strings.Contains(value, "\n") && len(trimmed) >= shortest {
		joined := strings.ReplaceAll(trimmed, "\n", " ")
		all = append(all, trimmed, joined, html.EscapeString(joined))
	}
	if len(value) >= shortest {
		for before := range 3 {
			all = append(all, within(base64.RawStdEncoding, value, before), within(base64.RawURLEncoding, value, before))
		}
	}
	return all
}

// within returns the part of the base64 of a longer text that a value determines, if some bytes are before it.
func within(encoding *base64.Encoding, value string, before int) string {
	const bits, digit = 8, 6
	encoded := encoding.EncodeToString(append(make([]byte, before), value...))
	from := (before*bits + digit - 1) / digit
	to := (before + len(value)) * bits / digit
	return encoded[from:to]
}

// escaped returns a text as it stands in a JSON string.
func escaped(text string, html bool) string {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(html)
	_ = encoder.Encode(text) //nolint:errchkjson // a text can be encoded
	return strings.TrimSuffix(strings.TrimPrefix(strings.TrimSuffix(out.String(), "\n"), `"`), `"`)
}
