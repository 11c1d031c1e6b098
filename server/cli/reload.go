package cli

import (
	"context"
	"errors"
	"os"
	"slices"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/fixtures/input"
	"gcp-metadata-emulator/server/world"
)

// loaded is the world in the files, or the error in them, and a record of the files' content.
type loaded struct {
	fixture *fixtures.Fixture
	world   *world.World
	wanted  []address // the plan for the world
	seen    []input.Seen
	err     error
}

// load loads the world from the files. It reads them again until none of them can have changed unwatched.
func (e *emulator) load(ctx context.Context, read func(context.Context) (*fixtures.Fixture, []input.Seen, error)) loaded {
	defer tellProgress(ctx, e.logger, "reading the world", e.sizes)()
	fixture, seen, err := read(ctx)
	for e.watch.Follow(input.Paths(seen)) && ctx.Err() == nil {
		fixture, seen, err = read(ctx)
	}
	if err != nil {
		return loaded{seen: seen, err: err}
	}
	w, err := world.Checked(fixture)
	if err != nil {
		return loaded{seen: seen, err: err}
	}
	wanted, err := e.plan(w)
	return loaded{fixture, w, wanted, seen, err}
}

// occasion is why files are loaded again.
type occasion int

const (
	never   occasion = iota
	changed          // the files may have changed, and are loaded only if they have
	hangUp           // a person wants it
)

// reloads loads files again apart from the goroutine that serves, because a file system may take any
// time. Only the serving goroutine may use it.
type reloads struct {
	results chan loaded
	present occasion // of the load that goes on
	next    occasion // of the load after it

	served []input.Seen // what the files of the served world held
	tried  []input.Seen // what the files held last, if that was a mistake
}

func newReloads() reloads { return reloads{results: make(chan loaded, 1)} }

// reload begins to load the files again, or does so when the present load ends.
func (e *emulator) reload(ctx context.Context, why occasion) {
	if ctx.Err() != nil {
		return // the emulator is stopping
	}
	if e.reloads.present != never {
		e.reloads.next = max(e.reloads.next, why)
		return
	}
	e.reloads.present = why
	go func() { e.reloads.results <- e.load(ctx, e.files.LoadAgain) }()
}

// reloaded serves the world that was loaded. If loading failed, the emulator keeps serving the old
// world.
func (e *emulator) reloaded(ctx context.Context, found loaded) {
	why, next := e.reloads.present, e.reloads.next
	e.reloads.present, e.reloads.next = never, never
	if ctx.Err() == nil && (why == hangUp || e.isNews(ctx, found.seen)) {
		e.accept(ctx, found)
	}
	if next != never {
		e.reload(ctx, next)
	}
}

// isNews reports whether files hold something else than when they were loaded last.
func (e *emulator) isNews(ctx context.Context, seen []input.Seen) bool {
	isServed := slices.Equal(seen, e.reloads.served)
	if isServed && !slices.Equal(e.reloads.tried, e.reloads.served) {
		e.logger.InfoContext(ctx, "the files hold again what is being served")
	}
	if isServed {
		e.reloads.tried = seen
	}
	return !isServed && !slices.Equal(seen, e.reloads.tried)
}

// accept serves the world that was loaded, or logs why it is not served.
func (e *emulator) accept(ctx context.Context, found loaded) {
	e.reloads.tried = found.seen
	if found.err != nil {
		for _, mistake := range mistakes(found.err) {
			e.logger.ErrorContext(ctx, "cannot reload; still serving the previous fixture", append([]any{"error", mistake}, hintOf(mistake)...)...)
		}
		return
	}
	if err := e.server.Replace(found.world); err != nil {
		e.logger.ErrorContext(ctx, "cannot reload; still serving the previous fixture", append([]any{"error", err}, hintOf(err)...)...)
		return
	}
	e.reloads.served = found.seen
	e.tell(ctx, found.fixture)
	e.follow(ctx, found.world)
	e.logger.InfoContext(ctx, "reloaded", "project", found.world.Project.ID, "instances", len(found.world.Instances))
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

// tell logs facts about a fixture that its author may not expect. If the flags set a mode, it is known
// whether policies are enforced.
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
