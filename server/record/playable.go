package record

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"gcp-metadata-emulator/fixtures"
)

// add adds a document of the tree. If no emulator can play it because of entries that no metadata server should have,
// they are left out: the exchanges still have them.
func (r *Recording) add(ctx context.Context, file, document string, profile fixtures.Profile) {
	err := play(ctx, document, profile)
	if err != nil {
		if less := without(document); play(ctx, less, profile) == nil {
			document, err = less, nil
		}
	}
	r.Files[file] = []byte(document)
	if r.Unplayable == nil && err != nil {
		r.Unplayable = errors.New(newRedactor().names.RedactWords(err.Error())) // it quotes the document
	}
}

// play returns an error if a fixture cannot have the document of an instance.
func play(ctx context.Context, document string, profile fixtures.Profile) error {
	text, err := json.Marshal(map[string]any{"instances": []any{map[string]any{"profile": profile, "recording": json.RawMessage(document)}}})
	if err == nil {
		_, _, err = fixtures.Files{Fixture: "recording", Text: text}.Load(ctx)
	}
	return err
}

// without returns a document without entries that a fixture refuses: nulls, and names that no request can have.
func without(document string) string {
	decoder := json.NewDecoder(strings.NewReader(document))
	decoder.UseNumber()
	var tree map[string]any
	if decoder.Decode(&tree) != nil {
		return document
	}
	less, _ := indented(pruned(tree, fixtures.Naming{})) // it was JSON
	return string(less)
}

// pruned returns a value of the tree without its odd entries.
func pruned(value any, naming fixtures.Naming) any {
	switch value := value.(type) {
	case map[string]any:
		kept, taken := map[string]any{}, map[string]bool{}
		for _, name := range slices.Sorted(maps.Keys(value)) {
			canonical := naming.Canonical(name)
			isFit := naming.InDocument() || value[name] != nil && fixtures.IsEntryName(name) && !taken[canonical]
			if isFit {
				taken[canonical] = true
				kept[name] = pruned(value[name], naming.Below(name))
			}
		}
		return kept
	case []any:
		kept := []any{}
		for _, item := range value {
			if naming.InDocument() || item != nil {
				kept = append(kept, pruned(item, naming))
			}
		}
		return kept
	default:
		return value
	}
}
