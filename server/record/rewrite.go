package record

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
)

// level is an object or an array that a reader of JSON is in.
type level struct {
	isObject bool
	isValue  bool   // in an object: the next token is a value
	key      string // of the value
	index    int    // of the value, in an array
}

// replacement returns the new text for a string below a path: a key or a value.
type replacement func(path []string, text string) string

// rewriter replaces the strings of a JSON text.
type rewriter struct {
	base         []string // the path of the whole
	keys, values replacement
	levels       []level
}

// rewrite returns a JSON text with other strings. Every other byte stays.
func (r *rewriter) rewrite(text string) (string, error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var out strings.Builder
	for before := 0; ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) && len(r.levels) == 0 && before > 0 {
			return out.String() + text[before:], nil
		}
		if err != nil {
			return "", err
		}
		after := int(decoder.InputOffset())
		raw := strings.TrimLeft(text[before:after], " \t\r\n,:")
		out.WriteString(text[before:after-len(raw)] + r.token(raw, token))
		before = after
		r.step(token)
	}
}

// token returns the text of a token.
func (r *rewriter) token(raw string, token json.Token) string {
	text, isText := token.(string)
	if !isText {
		return raw
	}
	with, levels := r.values, r.levels
	if n := len(levels); n > 0 && levels[n-1].isObject && !levels[n-1].isValue {
		with, levels = r.keys, levels[:n-1]
	}
	path := slices.Clone(r.base)
	for _, l := range levels {
		if l.isObject {
			path = append(path, l.key)
		} else {
			path = append(path, strconv.Itoa(l.index))
		}
	}
	instead := with(path, text)
	if instead == text {
		return raw
	}
	encoded, _ := indented(instead) // a text can be encoded
	return strings.TrimSuffix(string(encoded), "\n")
}

// step goes on after a token.
func (r *rewriter) step(token json.Token) {
	switch delimiter, _ := token.(json.Delim); delimiter {
	case '{', '[':
		r.levels = append(r.levels, level{isObject: delimiter == '{'})
		return
	case '}', ']':
		r.levels = r.levels[:len(r.levels)-1]
	}
	if len(r.levels) == 0 {
		return
	}
	last := &r.levels[len(r.levels)-1]
	switch key, isText := token.(string); {
	case !last.isObject:
		last.index++
	case last.isValue:
		last.isValue = false
	case isText:
		last.key, last.isValue = key, true
	}
}
