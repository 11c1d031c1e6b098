package record

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"gcp-metadata-emulator/fixtures"
)

// study learns the paths of a value of the tree, and the texts in it that stay.
func (r *redactor) study(path []string, value any) {
	text, isDocument := pathOf(path)
	switch value := value.(type) {
	case map[string]any:
		r.paths[text] = r.paths[text] || isDocument
		for key, below := range value {
			if !isOfUser(append(slices.Clone(path), key)) || len(path) < 2 {
				r.kept.WriteString(key + " " + fixtures.Naming{}.Name(key) + "\n")
			}
			r.study(append(slices.Clone(path), key), below)
		}
	case []any:
		r.paths[text] = true // the text form has a line for each item
		for i, item := range value {
			r.study(append(slices.Clone(path), strconv.Itoa(i)), item)
		}
	default:
		r.paths[text] = true
		if kept, isText := value.(string); isText && isGoogles(path) {
			r.kept.WriteString(kept + "\n")
		}
	}
}

// studyDocument is study for a document of the whole tree, in JSON.
func (r *redactor) studyDocument(document string) {
	decoder := json.NewDecoder(strings.NewReader(document))
	decoder.UseNumber()
	var tree any
	if decoder.Decode(&tree) == nil {
		r.study(nil, tree)
	}
}

// pathOf returns a path of keys or names as a single text. isDocument reports whether the last key
// belongs to a document.
func pathOf(path []string) (text string, isDocument bool) {
	var naming fixtures.Naming
	keys := make([]string, len(path))
	for i, key := range path {
		keys[i], isDocument = naming.Canonical(key), naming.IsDocument(key)
		naming = naming.Below(key)
	}
	return strings.Join(keys, "/"), isDocument
}

// line is an entry in the text form of a directory: a line, and further lines if the value has some.
type line struct {
	path        []string
	name, value string
}

// lines returns the text form of a directory, or of a value.
func (r *redactor) lines(path []string, body string) string {
	found := []line{{path: path}} // the text before the first name is the value of the whole
	for text := range strings.Lines(r.names.Redact(body)) {
		name, value, _ := strings.Cut(text, " ")
		below := append(slices.Clone(path), strings.Split(name, "/")...)
		if key, _ := pathOf(below); r.paths[key] {
			found = append(found, line{below, name + " ", value})
		} else {
			found[len(found)-1].value += text
		}
	}
	var out strings.Builder
	for _, l := range found {
		value, ended := strings.CutSuffix(l.value, "\n")
		shown := r.value(l.path, value)
		if l.name != "" && strings.Contains(shown, "\n") {
			shown = r.hide(value) // the further lines can be another value, whose name is hidden
		}
		out.WriteString(l.name + shown)
		if ended {
			out.WriteByte('\n')
		}
	}
	return out.String()
}
