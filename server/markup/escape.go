package markup

import (
	"errors"
	"fmt"
	"html"
	"net/url"
	"reflect"
	"slices"
	"strings"
)

// escape returns a value as text that may follow the text written so far.
func escape(written string, value reflect.Value) (string, error) {
	tag := written[strings.LastIndexByte(written, '<')+1:] // values never add a "<"
	at := scan(tag)
	switch {
	case at.isClosed && strings.EqualFold(at.element, "style"):
		if css, ok := of(value).(CSS); ok {
			return string(css), nil
		}
		return "", errors.New("only CSS may stand in a style element")
	case at.isClosed && strings.EqualFold(at.element, "script"):
		return "", errors.New("no value may stand in a script")
	case at.isClosed || len(tag) == len(written):
		return html.EscapeString(text(value)), nil
	case !at.isQuoted:
		return "", errors.New("a value in a tag must be an attribute in quotes")
	}
	return attribute(at, value)
}

// attribute returns a value as the text in an attribute.
func attribute(at place, value reflect.Value) (string, error) {
	switch name := strings.ToLower(at.attribute); {
	case strings.HasPrefix(name, "on"), name == "style", name == "srcset", name == "srcdoc":
		return "", fmt.Errorf("no value may stand in the attribute %q", at.attribute)
	case slices.Contains([]string{"href", "src", "action", "formaction", "cite", "data", "poster"}, name):
		return html.EscapeString(inURL(at.before, value)), nil
	default:
		return html.EscapeString(text(value)), nil
	}
}

// place is a place in a document.
type place struct {
	element   string
	isClosed  bool // the tag has ended
	isQuoted  bool
	attribute string // the attribute that has begun in quotes
	before    string // its text so far
}

// scan finds the place at the end of a text that follows a "<".
func scan(tag string) place {
	element, _, _ := strings.Cut(strings.FieldsFunc(tag+" ", func(r rune) bool { return r == '>' })[0]+" ", " ")
	at := place{element: strings.TrimSpace(element)}
	var quote byte
	begun := 0
	for i := range len(tag) {
		switch c := tag[i]; {
		case quote != 0 && c == quote:
			quote, begun = 0, i+1
		case quote != 0:
		case c == '"' || c == '\'':
			words := strings.Fields(strings.TrimSuffix(strings.TrimSpace(tag[begun:i]), "="))
			if len(words) > 0 {
				at.attribute = words[len(words)-1]
			}
			quote, begun = c, i+1
		case c == '>':
			at.isClosed = true
			return at
		}
	}
	if at.isQuoted = quote != 0; at.isQuoted {
		at.before = tag[begun:]
	}
	return at
}

// inURL returns a value as the text that follows the beginning of a URL.
func inURL(before string, value reflect.Value) string {
	if encoded, ok := of(value).(URL); ok {
		return string(encoded)
	}
	plain := text(value)
	if strings.ContainsAny(before, "?#") {
		return strings.ReplaceAll(url.QueryEscape(plain), "+", "%20")
	}
	if scheme, _, ok := strings.Cut(plain, ":"); before == "" && ok && !strings.ContainsAny(scheme, "/?#") &&
		!slices.Contains([]string{"http", "https", "mailto"}, strings.ToLower(scheme)) {
		return "#" // such as javascript:
	}
	return normal(plain)
}

// normal encodes the characters that cannot be in a URL, and leaves the rest unchanged.
func normal(plain string) string {
	const allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!#$&*+,/:;=?@[]%"
	var out strings.Builder
	for i := range len(plain) {
		if c := plain[i]; strings.IndexByte(allowed, c) >= 0 {
			_ = out.WriteByte(c) // never fails
		} else {
			_, _ = fmt.Fprintf(&out, "%%%02X", c)
		}
	}
	return out.String()
}

// of returns a value as an interface, or nil.
func of(value reflect.Value) any {
	if !value.IsValid() || !value.CanInterface() {
		return nil
	}
	return value.Interface()
}

// text returns a value as fmt.Sprint does, and nothing for no value.
func text(value reflect.Value) string {
	if value.Kind() == reflect.Pointer && !value.IsNil() {
		switch of(value).(type) {
		case fmt.Stringer, error:
		default:
			value = value.Elem()
		}
	}
	if plain := of(value); plain != nil {
		return fmt.Sprint(plain)
	}
	return ""
}
