package world

import (
	"maps"
	"slices"
	"strings"
	"unicode"

	"gcp-metadata-emulator/fixtures"
)

// Naming is how the keys of a metadata document and the names of the metadata tree become
// one another, level by level: fixed ones are camel case in the document and kebab case in
// the tree, those that users choose are the same in both. The zero value is that of the
// topmost level.
type Naming struct {
	chosen int // for how many levels from here on users choose the keys
}

// everyLevel is more levels than a document has.
const everyLevel = 1 << 30

// Below is the naming of the level below a key.
func (n Naming) Below(key string) Naming {
	if n.chosen > 0 {
		return Naming{chosen: n.chosen - 1}
	}
	if n.IsDocument(key) {
		return Naming{chosen: everyLevel}
	}
	switch key {
	case "attributes", "serviceAccounts":
		return Naming{chosen: 1}
	case "guestAttributes": // namespaces and their keys
		return Naming{chosen: 2}
	case "partnerAttributes":
		return Naming{chosen: everyLevel}
	default:
		return Naming{}
	}
}

// IsDocument tells whether the value of a key is one entry of the tree, whatever is in it.
func (n Naming) IsDocument(key string) bool { return n.chosen == 0 && fixtures.IsDocument(key) }

// InDocument tells whether a path is that of such an entry, or of a part of one.
func InDocument(path string) bool {
	var naming Naming
	for name := range strings.SplitSeq(path, "/") {
		key := naming.canonical(name)
		if naming.IsDocument(key) {
			return true
		}
		if name != "" {
			naming = naming.Below(key)
		}
	}
	return false
}

// Name is the name of a key in the tree.
func (n Naming) Name(key string) string {
	if n.chosen > 0 {
		return key
	}
	var out strings.Builder
	for i, letter := range key {
		if unicode.IsUpper(letter) {
			if i > 0 {
				out.WriteByte('-')
			}
			letter = unicode.ToLower(letter)
		}
		out.WriteRune(letter)
	}
	return out.String()
}

// Key is the key of a name in the document.
func (n Naming) Key(name string) string {
	if n.chosen > 0 {
		return name
	}
	words := strings.Split(name, "-")
	for i, word := range words[1:] {
		if word != "" {
			words[i+1] = strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return strings.Join(words, "")
}

// canonical is the key that a key or a name stands for.
func (n Naming) canonical(text string) string { return n.Key(n.Name(text)) }

// canonicalDocument writes the keys of a document in their one form.
func canonicalDocument(value any, naming Naming) any {
	switch value := value.(type) {
	case map[string]any:
		canonical := make(map[string]any, len(value))
		for _, text := range slices.Sorted(maps.Keys(value)) {
			key := naming.canonical(text)
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
