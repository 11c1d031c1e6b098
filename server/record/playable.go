package record

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"gcp-metadata-emulator/fixtures"
)

// add adds a document of the tree, and returns the name of the file to play. A document may have entries that no
// metadata server should have. If no emulator can play it for this reason, add returns another file without these
// entries.
func (r *Recording) add(ctx context.Context, file, document string, profile fixtures.Profile) string {
	r.Files[file] = []byte(document)
	err := play(ctx, document, profile)
	if err == nil {
		return file
	}
	less, dropped := without(document)
	if play(ctx, less, profile) == nil {
		for _, path := range dropped {
			r.Dropped[path] = true
		}
		file = playableFile + file
		r.Files[file] = []byte(less)
		return file
	}
	if r.Unplayable == nil {
		r.Unplayable = errors.New(newRedactor().names.RedactWords(err.Error())) // it quotes the document
	}
	return file
}

// play returns an error if a fixture cannot have the document of an instance.
func play(ctx context.Context, document string, profile fixtures.Profile) error {
	text, err := json.Marshal(map[string]any{"instances": []any{map[string]any{"profile": profile, "recording": json.RawMessage(document)}}})
	if err == nil {
		_, _, err = fixtures.Files{Fixture: "recording", Text: text}.Load(ctx)
	}
	return err
}

// without returns a document without the entries that a fixture refuses, and the paths of these entries.
func without(document string) (string, []string) {
	decoder := json.NewDecoder(strings.NewReader(document))
	decoder.UseNumber()
	var tree map[string]any
	if decoder.Decode(&tree) != nil {
		return document, nil
	}
	kept, dropped := fixtures.Prune(tree)
	less, _ := indented(kept) // it was JSON
	return string(less), dropped
}
