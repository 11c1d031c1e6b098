package world

import (
	"fmt"
	"maps"
	"slices"

	"gcp-metadata-emulator/fixtures"
)

// ValueError says why a value cannot be that of an entry.
type ValueError struct{ Path, Problem string }

func (e *ValueError) Error() string { return fmt.Sprintf("%q: %s", e.Path, e.Problem) }

// maxDepth is how deep a value may be: more than any of the metadata server's.
const maxDepth = 16

// accept is a value as the place has it, with keys in their one form.
func (p place) accept(value any) (any, error) {
	if !p.isAttributes(value) {
		return nil, &ValueError{p.path, "the value of an attribute must be a text"}
	}
	if problem := checkValue(value, p.naming, 0); problem != "" {
		return nil, &ValueError{p.path, problem}
	}
	return canonicalDocument(value, p.naming), nil
}

// isAttributes tells whether a value can be that of an attribute, or of all attributes, if
// the place is one of these.
func (p place) isAttributes(value any) bool {
	const section, attribute = 2, 3
	_, key := p.entry()
	if key != "attributes" || len(p.steps) > attribute {
		return true
	}
	values := []any{value}
	if directory, ok := value.(map[string]any); ok && len(p.steps) == section {
		values = slices.Collect(maps.Values(directory))
	}
	return !slices.ContainsFunc(values, func(value any) bool { _, isText := value.(string); return !isText })
}

// checkValue says what keeps a value from being metadata.
func checkValue(value any, naming fixtures.Naming, depth int) string {
	if depth > maxDepth {
		return "the value has too many levels"
	}
	switch value := value.(type) {
	case nil:
		if depth == 0 || !naming.InDocument() {
			return "null is no value"
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
		if problem := checkValue(directory[text], naming.Below(key), depth+1); problem != "" {
			return problem
		}
	}
	return ""
}

// canonicalDocument writes the keys of a document in their one form.
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
