package world

import (
	"fmt"
	"maps"
	"slices"

	"gcp-metadata-emulator/fixtures"
)

// ValueError says why an entry cannot have a value.
type ValueError struct{ Path, Problem string }

func (e *ValueError) Error() string { return fmt.Sprintf("%q: %s", e.Path, e.Problem) }

// maxDepth is the maximum depth of a value. Every value of the metadata server is less deep.
const maxDepth = 16

// accept checks a value for a place, and returns it with its keys in their usual form.
func (p place) accept(value any) (any, error) {
	if problem := p.checkAttributes(value); problem != "" {
		return nil, &ValueError{p.path, problem}
	}
	if problem := checkValue(value, p.naming, 0); problem != "" {
		return nil, &ValueError{p.path, problem}
	}
	return canonicalDocument(value, p.naming), nil
}

// checkAttributes returns the reason why a value cannot be an attribute or all attributes, if the
// place is for these, or nothing. It accepts the same keys as fixtures do.
func (p place) checkAttributes(value any) string {
	const (
		section, attribute = 2, 3
		mustBeString       = "the value of an attribute must be a string"
	)
	if _, key := p.entry(); key != "attributes" {
		return ""
	}
	attributes, areAll := value.(map[string]any)
	switch {
	case len(p.steps) > attribute:
		return mustBeString
	case len(p.steps) == attribute:
		attributes = map[string]any{p.last().key: value}
	case !areAll:
		return "the attributes must be a JSON object"
	}
	for _, key := range slices.Sorted(maps.Keys(attributes)) {
		if !fixtures.IsAttributeKey(key) {
			return fmt.Sprintf("%q is not an attribute key: use up to 127 letters, digits, hyphens and underscores", key)
		}
		if _, isText := attributes[key].(string); !isText {
			return mustBeString
		}
	}
	return ""
}

// checkValue returns the reason why a value cannot be metadata, or nothing.
func checkValue(value any, naming fixtures.Naming, depth int) string {
	if depth > maxDepth {
		return "the value has too many levels"
	}
	switch value := value.(type) {
	case nil:
		if depth == 0 || !naming.InDocument() {
			return "null is not a value"
		}
	case map[string]any:
		return checkDirectory(value, naming, depth)
	case []any:
		for _, item := range value {
			if problem := checkValue(item, naming, depth+1); problem != "" {
				return problem
			}
		}
	}
	return ""
}

func checkDirectory(directory map[string]any, naming fixtures.Naming, depth int) string {
	forms := make(map[string]string, len(directory))
	for _, text := range slices.Sorted(maps.Keys(directory)) {
		key := naming.Canonical(text)
		if !naming.InDocument() && (!fixtures.IsEntryName(text) || text != key && text != naming.Name(key)) {
			return fmt.Sprintf("%q cannot be a name", text)
		}
		if other, twice := forms[key]; twice {
			return fmt.Sprintf("%q and %q are two forms of one name", other, text)
		}
		forms[key] = text
		if directory[text] == nil && !naming.InDocument() {
			return fmt.Sprintf("%q is null, which is not a value", text)
		}
		if problem := checkValue(directory[text], naming.Below(key), depth+1); problem != "" {
			return problem
		}
	}
	return ""
}

// canonicalDocument returns a document with its keys in their usual form.
func canonicalDocument(value any, naming fixtures.Naming) any {
	switch value := value.(type) {
	case map[string]any:
		canonical := make(map[string]any, len(value))
		for _, text := range slices.Sorted(maps.Keys(value)) {
			key := naming.Canonical(text)
			canonical[key] = canonicalDocument(value[text], naming.Below(key))
		}
		return canonical
	case []any:
		canonical := make([]any, len(value))
		for i, item := range value {
			canonical[i] = canonicalDocument(item, naming)
		}
		return canonical
	default:
		return value
	}
}
