package cli

import (
	"context"
	"os"

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
		e.logger.ErrorContext(ctx, "cannot reload; still serving the previous fixture", "error", err)
		return
	}
	e.server.Replace(w)
	e.follow(ctx, w)
	e.logger.InfoContext(ctx, "reloaded", "project", w.Project.ID, "instances", len(w.Instances))
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
