package event

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/world"
)

// Playing is an unfinished event, or a scenario entry with values to set.
type Playing struct {
	ID       string `json:"id"`
	Instance string `json:"instance"`
	Event
	Set      map[string]any `json:"set,omitempty"`      // values by path, instead of an event
	Recorded bool           `json:"recorded,omitempty"` // all values are those of a recording, instead of an event

	Begins time.Time `json:"begins"` // by the emulator's clock
	Ends   time.Time `json:"ends"`
}

// Player plays the events of one emulator. It is safe for concurrent use. It has no goroutine
// of its own: the clock calls it.
type Player struct {
	worlds *store.Store[*world.World]
	clock  *clock.Clock
	settle func()
	logger *slog.Logger
	keeper Keeper // nil: the events are of this process alone

	beginning sync.Mutex // held while events start, so that all belong to one world

	mu      sync.Mutex // also held while an event changes the world, so that an ended event changes nothing
	last    int        // the number of the newest event
	playing []*run
}

// run is an event in progress.
type run struct {
	Playing

	steps []step
	stops []func() // unschedule the steps
	begun bool
	over  bool
}

// NewPlayer returns a player for the world in a store. It starts no event. After each step it
// calls settle, however far the clock jumped; settle must return when all waiting clients have
// seen the step.
func NewPlayer(worlds *store.Store[*world.World], emulator *clock.Clock, settle func(), logger *slog.Logger) *Player {
	return &Player{worlds: worlds, clock: emulator, settle: settle, logger: logger}
}

var (
	// ErrNoInstance reports an unknown instance.
	ErrNoInstance = errors.New("there is no such instance")
	// ErrTooMany reports the maximum number of unfinished events.
	ErrTooMany = fmt.Errorf("there are %d events already: cancel some", maxPlaying)
)

// maxPlaying limits the number of unfinished events.
const maxPlaying = 1000

// Play starts an event on an instance; an empty name means the default instance. The immediate
// steps have happened when Play returns. When an event begins, it replaces an event of the same
// type on the same instance; upcoming maintenance is rescheduled in this way. The error is
// ErrNoInstance, ErrTooMany or an *InvalidError, or says why the instance's metadata cannot be
// changed.
func (p *Player) Play(instance string, e Event) (Playing, error) {
	if err := e.check(); err != nil {
		return Playing{}, err
	}
	p.beginning.Lock()
	defer p.beginning.Unlock()
	of := p.run()
	w := p.worlds.Load().State
	found, ok := w.DefaultInstance(), true
	if instance != "" {
		found, ok = w.Instance(instance)
	}
	if !ok {
		return Playing{}, fmt.Errorf("%w: %q", ErrNoInstance, instance)
	}
	begins := p.clock.Now().Add(time.Duration(e.In))
	one := &run{
		Playing: Playing{Instance: found.Name, Event: e, Begins: begins},
		steps:   e.sequence(w, found, begins),
	}
	if err := one.plan(w); err != nil {
		return Playing{}, err
	}
	if p.keeper != nil {
		return p.share(one, of)
	}
	return p.begin(one)
}

// Replace ends every event, calls a function that replaces the world in the store, and starts the
// scenarios of all instances. Concurrent replacements happen one after the other. If the function
// fails, Replace returns its error, and the scenarios of the old world begin again.
func (p *Player) Replace(replace func() error) error {
	p.beginning.Lock()
	defer p.beginning.Unlock()
	p.Clear()
	err := replace()
	p.beginScenarios()
	return err
}

// Put replaces the world in the store; see Replace.
func (p *Player) Put(w *world.World) error {
	return p.Replace(func() error {
		put := func(*world.World) (*world.World, error) { return w, nil }
		if p.keeper != nil {
			return p.worlds.UpdateBy(p.keeper.Anew(), put)
		}
		return p.worlds.Update(put)
	})
}

// Begin starts the scenarios of all instances.
func (p *Player) Begin() {
	p.beginning.Lock()
	defer p.beginning.Unlock()
	p.beginScenarios()
}

func (p *Player) beginScenarios() {
	if p.keeper != nil {
		_, _ = p.PlayShared() // if it fails, the process that is elected does it
		return
	}
	p.eachScenario(func(one *run) error {
		_, err := p.begin(one)
		return err
	})
}

// eachScenario calls a function with the entries of the scenarios of all instances.
func (p *Player) eachScenario(begin func(*run) error) {
	w, now := p.worlds.Load().State, p.clock.Now()
	for _, instance := range w.Instances {
		for i := range instance.Scenario {
			one, happening := newScenario(w, instance, i, now), instance.Scenario[i]
			err := one.plan(w)
			if err == nil {
				err = begin(one)
			}
			if err != nil {
				p.logger.Warn("a scenario cannot be played", "instance", instance.Name, "at", happening.At.String(), "error", err)
			}
		}
	}
}

func newScenario(w *world.World, instance *world.Instance, at int, now time.Time) *run {
	h := instance.Scenario[at]
	begins := now.Add(time.Duration(h.At))
	one := &run{Playing: Playing{
		Instance: instance.Name, Event: happening(h), Set: h.Set, Recorded: h.Recording.Exists(), Begins: begins,
	}}
	switch {
	case h.Event != "":
		one.steps = one.sequence(w, instance, begins)
	case h.Recording.Exists():
		one.steps = []step{{Entries: []entry{{Recorded: at + 1}}}}
	default:
		var values step
		for _, path := range slices.Sorted(maps.Keys(h.Set)) {
			values.Entries = append(values.Entries, set(path, h.Set[path]))
		}
		one.steps = []step{values}
	}
	return one
}

// plan checks on a copy of the world that the steps of an event apply, and sets its times.
func (r *run) plan(w *world.World) error {
	for _, s := range r.steps {
		var err error
		if w, err = s.apply(w, r.Instance); err != nil {
			return err
		}
	}
	r.Begins = r.Begins.Round(0).UTC()
	r.Ends = r.Begins.Add(r.steps[len(r.steps)-1].After)
	return nil
}

// begin schedules the steps of an event.
func (p *Player) begin(one *run) (Playing, error) {
	if err := p.add(one); err != nil {
		return Playing{}, err
	}
	for i, s := range one.steps {
		p.keep(one, p.clock.At(one.Begins.Add(s.After), func() {
			p.perform(one, i)
			p.settle()
		}))
	}
	return one.Playing, nil
}

func (p *Player) add(one *run) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.playing) >= maxPlaying {
		return ErrTooMany
	}
	p.last++
	one.ID = strconv.Itoa(p.last)
	p.playing = append(p.playing, one)
	return nil
}

// keep records the function to unschedule a step.
func (p *Player) keep(one *run, stop func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if one.over {
		stop()
		return
	}
	one.stops = append(one.stops, stop)
}

// perform applies a step of an event. The event ends after its last step, and if its instance
// has been removed or refuses the step.
func (p *Player) perform(one *run, at int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if one.over {
		return
	}
	if !one.begun {
		one.begun = true
		p.endWhere(func(other *run) bool {
			return other != one && other.begun && other.Instance == one.Instance && other.Type == one.Type
		})
	}
	err := p.worlds.Update(func(w *world.World) (*world.World, error) { return one.steps[at].apply(w, one.Instance) })
	if err != nil && !errors.Is(err, ErrNoInstance) {
		p.logger.Warn("an event has ended early", "instance", one.Instance, "type", cmp.Or(string(one.Type), "set"), "error", err)
	}
	if err != nil || at == len(one.steps)-1 {
		p.endWhere(func(other *run) bool { return other == one })
	}
}

// endWhere ends the matching events, so that they change nothing any more. The caller must hold
// mu.
func (p *Player) endWhere(ends func(*run) bool) (ended int) {
	before := len(p.playing)
	p.playing = slices.DeleteFunc(p.playing, func(one *run) bool {
		if !ends(one) {
			return false
		}
		one.over = true
		for _, stop := range one.stops {
			stop()
		}
		return true
	})
	return before - len(p.playing)
}

// List returns every unfinished event, in the order of their starts.
func (p *Player) List() []Playing {
	if p.keeper != nil {
		return p.shared()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]Playing, len(p.playing))
	for i, one := range p.playing {
		list[i] = one.Playing
	}
	return list
}

// Cancel stops an event at its present step, and reports whether it had not ended. There is an error
// only if several processes share the events.
func (p *Player) Cancel(id string) (existed bool, err error) {
	if p.keeper != nil {
		return p.keeper.Remove(id)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.endWhere(func(one *run) bool { return one.ID == id }) > 0, nil
}

// Clear stops every event of this process at its present step. Call it before you discard an emulator.
func (p *Player) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endWhere(func(*run) bool { return true })
}
