package replica

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"strconv"
	"sync"

	"gcp-metadata-emulator/server/event"
	"gcp-metadata-emulator/server/order"
	"gcp-metadata-emulator/server/records"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/world"
)

// The records of events. Each event has a record, with the number of its steps that have happened. Another record
// counts the events, and has the newest run of the world for which the scenarios have begun.
const (
	eventsFolder = "events"
	playerFolder = "player"
	countName    = playerFolder + "/count"
)

// count is the content of the record countName.
type count struct {
	Last  int `json:"last"`  // the number of the newest event
	Begun int `json:"begun"` // the newest run whose scenarios have begun

	Beginning int `json:"beginning,omitempty"` // the newest run some of whose scenarios have begun
	Added     int `json:"added,omitempty"`     // how many of them, as long as others have not
}

// events keeps the events of the replicas. It implements event.Keeper.
type events struct {
	store  records.Store
	bounds bounds
	worlds *Worlds
	logger *slog.Logger

	mu    sync.Mutex
	known []known // in the order of their names
	begun int     // the newest run whose scenarios have all begun
}

// known is an event and its record.
type known struct {
	name    string
	version int64
	event   event.Kept
}

func newEvents(r *Replica) *events {
	return &events{store: r.store, bounds: r.bounds, worlds: r.Worlds, logger: r.logger}
}

// nameOfEvent returns the name of an event's record. Names sort like numbers.
func nameOfEvent(number int) string { return fmt.Sprintf("%s/%012d", eventsFolder, number) }

// follow is told of changes of the events' records.
func (e *events) follow(changed []records.Record) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, record := range changed {
		e.known = slices.DeleteFunc(e.known, func(one known) bool { return one.name == record.Name })
		if record.Gone {
			continue
		}
		one := known{name: record.Name, version: record.Version}
		from := json.NewDecoder(bytes.NewReader(record.Value))
		from.UseNumber()
		err := from.Decode(&one.event)
		if err == nil && one.event.Done >= len(one.event.Steps) {
			err = errors.New("no step is left")
		}
		if err != nil {
			e.logger.Error("cannot read an event that the replicas share", "record", record.Name, "error", err)
			continue
		}
		number, _ := strconv.Atoi(path.Base(record.Name))
		one.event.ID = strconv.Itoa(number)
		e.known = append(e.known, one)
	}
	order.Sort(e.known, func(a, b known) int { return cmp.Compare(a.name, b.name) })
}

// followCount is told of changes of the count, after follow was told of the same change.
func (e *events) followCount() {
	now, _, err := e.count()
	if err != nil {
		e.logger.Error("cannot read the count of events that the replicas share", "error", err)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.begun = now.Begun
}

// find returns an event by its ID.
func (e *events) find(id string) (known, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	at := slices.IndexFunc(e.known, func(one known) bool { return one.event.ID == id })
	if at < 0 {
		return known{}, false
	}
	return e.known[at], true
}

// Run returns the present run of the world.
func (e *events) Run() int { return e.worlds.run() }

// isBeginning reports whether not all scenarios of a run have begun.
func (e *events) isBeginning(run int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return run > e.begun
}

// List returns the events of the present run. Before all its scenarios have begun, List returns nothing, so that
// no reader sees only some of them.
func (e *events) List() []event.Kept {
	run := e.worlds.run()
	e.mu.Lock()
	defer e.mu.Unlock()
	var list []event.Kept
	for _, one := range e.known {
		if one.event.Run == run && run <= e.begun {
			list = append(list, one.event)
		}
	}
	return list
}

// count returns the present count, and the version of its record.
func (e *events) count() (count, int64, error) {
	var now count
	found, ok := e.store.Copy().Find(countName)
	if !ok {
		return now, 0, nil
	}
	if err := json.Unmarshal(found.Value, &now); err != nil {
		return now, 0, fmt.Errorf("the record %q cannot be used: %w", countName, err)
	}
	return now, found.Version, nil
}

func (e *events) commit(change records.Change) error {
	ctx, cancel := e.bounds.commit()
	defer cancel()
	return e.store.Commit(ctx, change)
}

// await returns when this process has followed the change with a version.
func (e *events) await(version int64) error {
	ctx, cancel := e.bounds.commit()
	defer cancel()
	return e.store.Copy().Await(ctx, version)
}

// entriesOf returns the records of the first events of a list, as many as fit into one change. Their numbers
// follow last.
func entriesOf(list []event.Kept, last int) ([]records.Entry, error) {
	entries := make([]records.Entry, len(list))
	for i, one := range list {
		text, err := json.Marshal(one)
		if err != nil {
			return nil, err
		}
		entries[i] = records.Entry{Name: nameOfEvent(last + 1 + i), Value: text}
	}
	return entries[:prefix(entries, records.MaxBytes, records.MaxOperations-1)], nil
}

// add keeps events, and counts them.
func (e *events) add(entries []records.Entry, after count, version int64) error {
	text, err := json.Marshal(after)
	if err != nil {
		return err
	}
	return e.commit(records.Change{
		If:  []records.Condition{{Name: countName, Version: version}},
		Put: append(entries, records.Entry{Name: countName, Value: text}),
	})
}

// Add keeps an event under a new ID.
func (e *events) Add(one event.Kept) (event.Kept, error) {
	for {
		now, version, err := e.count()
		if err != nil {
			return event.Kept{}, err
		}
		entries, err := entriesOf([]event.Kept{one}, now.Last)
		if err != nil {
			return event.Kept{}, err
		}
		now.Last++
		if err = e.add(entries, now, version); errors.Is(err, records.ErrConflict) {
			continue
		}
		one.ID = strconv.Itoa(now.Last)
		return one, err
	}
}

// BeginRun keeps the scenarios of a run, unless a replica has done so. If they do not fit into one change and a
// replica has kept only some, BeginRun goes on from there.
func (e *events) BeginRun(run int, scenarios func() []event.Kept) error {
	var list []event.Kept
	for {
		now, version, err := e.count()
		if err != nil || now.Beginning > run {
			return err
		}
		if now.Begun >= run {
			return e.await(version)
		}
		if list == nil {
			list = scenarios()
		}
		if err = e.beginMore(run, list, now, version); err != nil && !errors.Is(err, records.ErrConflict) {
			return err
		}
	}
}

// beginMore keeps more of a run's scenarios, as many as fit into one change. It skips the scenarios that the
// count has already.
func (e *events) beginMore(run int, list []event.Kept, now count, version int64) error {
	if now.Beginning < run {
		now.Beginning, now.Added = run, 0
	}
	rest := list[min(now.Added, len(list)):]
	entries, err := entriesOf(rest, now.Last)
	if err != nil {
		return err
	}
	now.Last, now.Added = now.Last+len(entries), now.Added+len(entries)
	if len(entries) == len(rest) {
		now.Begun, now.Added = run, 0
	}
	return e.add(entries, now, version)
}

// Remove removes an event.
func (e *events) Remove(id string) (existed bool, err error) {
	for {
		found, ok := e.find(id)
		if !ok {
			return false, nil
		}
		err := e.commit(records.Change{
			If: []records.Condition{{Name: found.name, Version: found.version}}, Delete: []string{found.name},
		})
		if !errors.Is(err, records.ErrConflict) {
			return err == nil, err
		}
	}
}

// Step returns the keeper of the version of the world that a step makes.
func (e *events) Step(of event.Kept, ends []string) store.Keeper[*world.World] {
	return step{e, of, ends}
}

// step is the next step of an event. It implements store.Keeper.
type step struct {
	events *events
	of     event.Kept
	ends   []string // the IDs of other events, which end then
}

// Bound returns the context of the step.
func (s step) Bound() (context.Context, context.CancelFunc) { return s.events.bounds.commit() }

// Replace makes next the newest version of the world, and counts the step, in one change.
func (s step) Replace(ctx context.Context, current, next *world.World) error {
	found, ok := s.events.find(s.of.ID)
	if !ok || found.event.Done != s.of.Done || found.event.Run != s.events.Run() {
		return event.ErrTaken
	}
	also := records.Change{If: []records.Condition{{Name: found.name, Version: found.version}}}
	after := found.event
	after.Done++
	if after.Done == len(after.Steps) {
		also.Delete = append(also.Delete, found.name)
	} else {
		text, err := json.Marshal(after)
		if err != nil {
			return err
		}
		also.Put = []records.Entry{{Name: found.name, Value: text}}
	}
	for _, id := range s.ends {
		if other, ok := s.events.find(id); ok {
			also.Delete = append(also.Delete, other.name)
		}
	}
	return s.events.worlds.replaceWith(ctx, current, next, also)
}

// Anew returns the keeper of a version of the world that begins another run.
func (e *events) Anew() store.Keeper[*world.World] { return anew{e.worlds} }

// anew implements store.Keeper.
type anew struct{ worlds *Worlds }

// Bound returns the context of the replacement.
func (a anew) Bound() (context.Context, context.CancelFunc) { return a.worlds.Bound() }

// Replace makes the version of the world the newest, and ends all events.
func (a anew) Replace(ctx context.Context, current, next *world.World) error {
	return a.worlds.replaceWith(ctx, current, next, records.Change{Folders: []string{eventsFolder}})
}
