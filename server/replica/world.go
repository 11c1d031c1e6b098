package replica

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/records"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/world"
)

// The records of the world. A change of the head is conditional on the version before, and changes the
// parts in the same step. So no part of a head is ever missing.
const (
	worldFolder = "world"
	headName    = worldFolder + "/head"
	partFolder  = worldFolder + "/parts"
)

func partName(digest string) string { return partFolder + "/" + digest }

// head names the parts of the world, and of the world that a reset restores.
type head struct {
	World []string `json:"world"`
	Start []string `json:"start"`
	Run   int      `json:"run,omitempty"` // counts how often the world was restarted, which ends events

	// Resets grows with each reset, at which each replica forgets the state of its own. It is the time of the
	// reset in Unix milliseconds: a store that was restored from a backup must not give the same number to
	// another reset.
	Resets int64 `json:"resets,omitempty"`
}

// names reports whether the head needs a part.
func (h head) names(digest string) bool {
	return slices.Contains(h.World, digest) || slices.Contains(h.Start, digest)
}

func (h head) equals(other head) bool {
	return slices.Equal(h.World, other.World) && slices.Equal(h.Start, other.Start) && h.Run == other.Run && h.Resets == other.Resets
}

// Worlds keeps the world in records. It implements store.Keeper.
type Worlds struct {
	records records.Store
	bounds  bounds
	logger  *slog.Logger

	mu      sync.Mutex
	store   *store.Store[*world.World]
	current kept // the newest version
	start   kept // the world after a reset
	seen    sighted
	pending map[string]kept // the versions that this process commits at the moment, by the text of their head
	unread  error           // why the newest version cannot be read; nil: it was read
	ended   func()          // called, on a goroutine of its own, when another process has restarted the world
	forget  func()          // called when this or another process has reset the world
}

// sighted is a head that this process has seen. The zero value means that it has seen no head.
type sighted struct {
	version int64
	head    head
}

// kept is a world and its text.
type kept struct {
	world *world.World
	text  []byte
}

// openWorlds joins the replicas with a world. If they have a world already, the result has their world.
func openWorlds(ctx context.Context, shared records.Store, within bounds, logger *slog.Logger, own *world.World) (*Worlds, error) {
	w := &Worlds{records: shared, bounds: within, logger: logger, pending: map[string]kept{}, ended: func() {}, forget: func() {}}
	if err := shared.Sync(ctx); err != nil {
		return nil, err
	}
	text, err := encode(own)
	if err != nil {
		return nil, err
	}
	for {
		if found, ok := shared.Copy().Find(headName); ok {
			err := w.see(found)
			if newest, _ := shared.Copy().Find(headName); err == nil || newest.Version == found.Version {
				w.prefer(kept{own, text})
				return w, err
			}
			continue // its parts were removed while they were read
		}
		first := kept{own, text}
		if err := w.commit(ctx, sighted{}, first, first, records.Change{Folders: []string{eventsFolder}}); err != nil && !errors.Is(err, records.ErrConflict) {
			return nil, err
		}
	}
}

// whenRestarted makes the world call a function after another process has restarted it.
func (w *Worlds) whenRestarted(call func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = call
}

// run returns how often the world was restarted, as far as this process has seen.
func (w *Worlds) run() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen.head.Run
}

// prefer takes an equal world that this process has made itself, because that world knows the lines of
// its fixture.
func (w *Worlds) prefer(own kept) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range []*kept{&w.current, &w.start} {
		if bytes.Equal(one.text, own.text) {
			*one = own
		}
	}
}

// Feed makes a store follow the world. It must be NewKept, of World.
func (w *Worlds) Feed(of *store.Store[*world.World]) {
	w.mu.Lock()
	w.store = of
	w.mu.Unlock()
	w.records.Copy().Follow(worldFolder, w.follow)
}

// World returns the newest world that this process has seen.
func (w *Worlds) World() *world.World {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.current.world
}

// Start returns the world that a reset restores.
func (w *Worlds) Start() *world.World {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.start.world
}

// unreadable returns why the newest version cannot be read, or nil.
func (w *Worlds) unreadable() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.unread
}

// Bound returns the context of an update of the world; see store.Keeper.
func (w *Worlds) Bound() (context.Context, context.CancelFunc) { return w.bounds.commit() }

// Replace is an update of the world; see store.Keeper.
func (w *Worlds) Replace(ctx context.Context, current, next *world.World) error {
	return w.replaceWith(ctx, current, next, records.Change{})
}

// replaceWith is Replace, with a change of other records in the same step.
func (w *Worlds) replaceWith(ctx context.Context, current, next *world.World, also records.Change) error {
	return w.replace(ctx, current, next, func(w *Worlds) kept { return w.start }, also)
}

// Restart replaces the world, whichever there is, and the world that a reset restores.
func (w *Worlds) Restart(next *world.World) error {
	ctx, cancel := w.Bound()
	defer cancel()
	for ctx.Err() == nil {
		err := w.replace(ctx, w.World(), next, func(*Worlds) kept { return kept{world: next} }, records.Change{Folders: []string{eventsFolder}})
		if !errors.Is(err, store.ErrOutdated) {
			return err
		}
	}
	return context.Cause(ctx)
}

// replace commits a version, and a change of other records. start returns the world that a reset restores
// from now on; without a text, it is the new world.
func (w *Worlds) replace(ctx context.Context, current, next *world.World, start func(*Worlds) kept, also records.Change) error {
	text, err := encode(next)
	if err != nil {
		return err
	}
	w.mu.Lock()
	if w.unread != nil || w.current.world != current {
		defer w.mu.Unlock()
		return cmp.Or(w.unread, store.ErrOutdated)
	}
	fresh := kept{next, text}
	from := start(w)
	if from.text == nil {
		from = fresh
	}
	seen := w.seen
	w.mu.Unlock()
	if err := w.commit(ctx, seen, fresh, from, also); errors.Is(err, records.ErrConflict) {
		return store.ErrOutdated
	} else if err != nil {
		return err
	}
	return nil
}

// commit makes a version the newest, if the head is as this process has seen it, and makes a change of
// other records.
func (w *Worlds) commit(ctx context.Context, seen sighted, fresh, start kept, also records.Change) error {
	next := head{Run: seen.head.Run, Resets: seen.head.Resets}
	if slices.Contains(also.Folders, eventsFolder) { // not an edit
		next.Run++
	}
	if slices.Contains(also.Folders, faultsFolder) { // a reset
		next.Resets = max(next.Resets+1, time.Now().UnixMilli()) //nolint:forbidigo // a frozen clock would repeat a number
	}
	parts := map[string][]byte{}
	next.World = divide(fresh.text, parts)
	next.Start = divide(start.text, parts)
	text, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("describe the parts of the world: %w", err)
	}
	key := string(text)
	w.mu.Lock()
	w.pending[key] = fresh
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.pending, key)
	}()
	batch := batches{store: w.records, last: records.Change{
		If:     append([]records.Condition{{Name: headName, Version: seen.version}}, also.If...),
		Put:    append([]records.Entry{{Name: headName, Value: text}}, also.Put...),
		Delete: also.Delete, Folders: also.Folders,
	}}
	for digest, part := range parts {
		if _, exists := w.records.Copy().Find(partName(digest)); !exists || !seen.head.names(digest) {
			batch.put = append(batch.put, records.Entry{Name: partName(digest), Value: part})
		}
	}
	for _, record := range w.records.Copy().List(partFolder) {
		digest := record.Name[len(partFolder)+1:]
		if _, needed := parts[digest]; !needed && (seen.head.names(digest) || len(batch.put) > records.MaxOperations) {
			batch.remove = append(batch.remove, record.Name)
		}
	}
	return batch.commit(ctx)
}

// divide returns the names of a text's parts, and adds the parts to a collection.
func divide(text []byte, parts map[string][]byte) []string {
	var names []string
	for _, part := range split(text) {
		name := nameOf(part)
		names, parts[name] = append(names, name), part
	}
	return names
}

// follow is told of changes of the head.
func (w *Worlds) follow(changed []records.Record) {
	for _, record := range changed {
		if record.Name != headName {
			continue
		}
		if record.Gone {
			w.lose()
			continue
		}
		err := w.see(record)
		w.mu.Lock()
		w.unread = err
		w.mu.Unlock()
		if err != nil {
			w.logger.Error("cannot read the world that the replicas share; still serving the previous world", "error", err,
				"hint", "run the same version of the emulator in every replica")
		}
	}
}

// lose notes that somebody has deleted the head. This process still serves the world, and its next edit
// writes all of it again.
func (w *Worlds) lose() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen, w.unread = sighted{head: head{Run: w.seen.head.Run, Resets: w.seen.head.Resets}}, nil // events still belong to the same run
	w.logger.Warn("the world that the replicas share was deleted from the store; still serving it",
		"hint", "the next change of the world writes it again; to end a world, stop its replicas first")
}

// see takes over a version of the world.
func (w *Worlds) see(record records.Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var next head
	if err := json.Unmarshal(record.Value, &next); err != nil {
		return fmt.Errorf("the record %q cannot be used: %w", record.Name, err)
	}
	if record.Version == w.seen.version && next.equals(w.seen.head) {
		return nil
	}
	fresh, mine := w.pending[string(record.Value)]
	if !mine {
		var err error
		if fresh, err = w.read(next.World); err != nil {
			return err
		}
	}
	start := w.start
	switch {
	case slices.Equal(next.Start, next.World):
		start = fresh
	case !slices.Equal(next.Start, w.seen.head.Start):
		var err error
		if start, err = w.read(next.Start); err != nil {
			return err
		}
	}
	if next.Run != w.seen.head.Run && !mine && w.store != nil {
		go w.ended()
	}
	if next.Resets > w.seen.head.Resets && w.store != nil { // it is smaller if the store has lost resets
		w.forget()
	}
	isSame := slices.Equal(next.World, w.seen.head.World)
	w.seen, w.start = sighted{record.Version, next}, start
	if isSame {
		return nil // parts were removed
	}
	w.current = fresh
	if w.store != nil {
		w.store.Follow(fresh.world)
	}
	return nil
}

// read reads a world from its parts. The caller must hold mu.
func (w *Worlds) read(digests []string) (kept, error) {
	var text bytes.Buffer
	for _, digest := range digests {
		part, ok := w.records.Copy().Find(partName(digest))
		if !ok {
			return kept{}, fmt.Errorf("the record %q is missing", partName(digest))
		}
		text.Write(part.Value)
	}
	made, err := decode(text.Bytes(), w.current.world)
	return kept{made, text.Bytes()}, err
}

// encode describes a world.
func encode(w *world.World) ([]byte, error) {
	text, err := w.Fixture().JSON()
	if err != nil {
		return nil, fmt.Errorf("describe the world: %w", err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return nil, fmt.Errorf("describe the world: %w", err)
	}
	return compact.Bytes(), nil
}

// decode makes the world of a description. If an instance has not changed since an earlier world, decode
// keeps the earlier instance, so that its tree is not rendered again.
func decode(text []byte, earlier *world.World) (*world.World, error) {
	f, err := fixtures.ParseAlone("world of the replicas", text)
	if err != nil {
		return nil, err
	}
	return world.New(f).Keeping(earlier), nil
}
