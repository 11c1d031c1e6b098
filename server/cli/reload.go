package cli

import (
	"context"
	"errors"
	"os"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/world"
)

// load loads the world and plans its addresses.
func (e *emulator) load(ctx context.Context) (*world.World, []address, error) {
	defer tellProgress(ctx, e.logger, "reading the world", e.sizes)()
	fixture, read, err := e.files.Load()
	for e.watch.follow(read) {
		fixture, read, err = e.files.Load()
	}
	if err != nil {
		return nil, nil, err
	}
	w, err := world.Checked(fixture)
	if err != nil {
		return nil, nil, err
	}
	e.tell(ctx, fixture)
	wanted, err := e.plan(w)
	return w, wanted, err
}

// reload loads the files again and serves the new world. If it fails, the emulator keeps serving
// the old world.
func (e *emulator) reload(ctx context.Context) {
	if ctx.Err() != nil {
		return // the emulator is stopping
	}
	w, _, err := e.load(ctx)
	if err != nil {
		for _, mistake := range mistakes(err) {
			e.logger.ErrorContext(ctx, "cannot reload; still serving the previous fixture", append([]any{"error", mistake}, hintOf(mistake)...)...)
		}
		return
	}
	if err := e.server.Replace(w); err != nil {
		e.logger.ErrorContext(ctx, "cannot reload; still serving the previous fixture", append([]any{"error", err}, hintOf(err)...)...)
		return
	}
	e.follow(ctx, w)
	e.logger.InfoContext(ctx, "reloaded", "project", w.Project.ID, "instances", len(w.Instances))
}

// hintOf returns the hint of an error for the log.
func hintOf(err error) []any {
	hinted, ok := errors.AsType[interface {
		error
		Hint() string
	}](err)
	if !ok || hinted.Hint() == "" {
		return nil
	}
	return []any{"hint", hinted.Hint()}
}

// tell logs what the author of a fixture may not expect. With a mode of the flags, it is known whether
// policies are enforced.
func (e *emulator) tell(ctx context.Context, fixture *fixtures.Fixture) {
	for _, note := range fixture.Notes() {
		if note.IsAboutPolicies && e.decided {
			continue
		}
		e.logger.WarnContext(ctx, "the fixture may not do what its author expects", "note", note.Message, "hint", note.Hint)
	}
}

// sizes returns the sizes of the world's files, in bytes.
func (e *emulator) sizes() []any {
	var sizes []any
	for _, path := range []string{e.files.Fixture, e.files.Recording} {
		if info, err := os.Stat(path); err == nil {
			sizes = append(sizes, "file", path, "bytes", info.Size())
		}
	}
	return sizes
}
