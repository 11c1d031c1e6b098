package cli

import (
	"context"

	"gcp-metadata-emulator/server/world"
)

// load reads the world, and where it is to be served.
func (e *emulator) load() (*world.World, []address, error) {
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

// reload reads the files again and serves what they say. Where they cannot be read, nothing
// changes.
func (e *emulator) reload(ctx context.Context) {
	if ctx.Err() != nil {
		return // there is nobody left to serve
	}
	w, _, err := e.load()
	if err != nil {
		e.logger.ErrorContext(ctx, "cannot reload; what was served before still is", "error", err)
		return
	}
	e.server.Replace(w)
	e.follow(ctx, w)
	e.logger.InfoContext(ctx, "reloaded", "project", w.Project.ID, "instances", len(w.Instances))
}
