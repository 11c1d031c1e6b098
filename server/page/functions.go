package page

import (
	"encoding/json"
	"strings"
	"time"
)

// functions returns the functions for the templates.
func functions() map[string]any {
	return map[string]any{
		"join":    strings.Join,
		"moment":  moment,
		"clock":   func(t time.Time) string { return t.UTC().Format(time.TimeOnly) },
		"machine": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"json":    indented,
		"short":   short,
		"dict":    dict,
	}
}

// moment writes a time for people.
func moment(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04:05 UTC") }

// indented writes a value, or a text that is JSON, in several lines.
func indented(value any) (string, error) {
	text, err := json.MarshalIndent(value, "", "  ")
	return unescaped(string(text)), err
}

// unescaped undoes the escapes with which encoding/json protects HTML. The templates escape texts.
func unescaped(text string) string {
	return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(text)
}

// short returns the beginning of a long text.
func short(most int, text string) string {
	if letters := []rune(text); len(letters) > most {
		return string(letters[:most]) + "…"
	}
	return text
}

// dict returns a map for a template that needs several values: names and values take turns.
func dict(pairs ...any) map[string]any {
	values := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		values[pairs[i].(string)] = pairs[i+1]
	}
	return values
}
