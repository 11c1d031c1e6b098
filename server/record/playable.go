package record

import (
	"context"
	"encoding/json"
	"errors"
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

// without returns a document without the entries that a fixture refuses.
func without(document string) string {
	decoder := json.NewDecoder(strings.NewReader(document))
	decoder.UseNumber()
	var tree map[string]any
	if decoder.Decode(&tree) != nil {
		return document
	}
	kept, _ := fixtures.Prune(tree)
	less, _ := indented(kept) // it was JSON
	return string(less)
}
