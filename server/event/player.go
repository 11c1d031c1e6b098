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

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/world"
)

// Playing is an event that has not ended yet, or an entry of a scenario that sets values.
type Playing struct {
	ID       string `json:"id"`
	Instance string `json:"instance"`
	Event
	Set map[string]any `json:"set,omitempty"` // by path, instead of an event

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

	beginning sync.Mutex // held while events begin, which are those of one world

	mu      sync.Mutex // held while one changes the world, too: what has been ended does so no more
	last    int        // the number of the newest
	playing []*run
}

// run is an event that is being played.
type run struct {
	Playing

	steps []step
	stops []func() // make the clock forget the steps
	begun bool
	over  bool
}

// NewPlayer is a player of events of the world in a store. It plays nothing yet. However much
// time passes at once, it calls settle after each step, which returns when everybody who has to
// has seen it.
func NewPlayer(worlds *store.Store[*world.World], emulator *clock.Clock, settle func(), logger *slog.Logger) *Player {
	return &Player{worlds: worlds, clock: emulator, settle: settle, logger: logger}
}

var (
	// ErrNoInstance says that an instance does not exist.
	ErrNoInstance = errors.New("there is no such instance")
	// ErrTooMany says that as many events are being played as there can be.
	ErrTooMany = fmt.Errorf("there are %d events already; cancel some", maxPlaying)
)

// maxPlaying is how many events there can be at once.
const maxPlaying = 1000

// Play begins an event of an instance; an empty name is the default one. What happens at once has
// happened when it returns. An event that begins takes the place of one of the same type that
// has begun on the instance: upcoming maintenance is rescheduled so. The error is ErrNoInstance,
// ErrTooMany or an *InvalidError, or says why the metadata of the instance cannot be changed.
func (p *Player) Play(instance string, e Event) (Playing, error) {
	if err := e.check(); err != nil {
		return Playing{}, err
	}
	p.beginning.Lock()
	defer p.beginning.Unlock()
	w := p.worlds.Load().State
	found, ok := w.DefaultInstance(), true
	if instance != "" {
		found, ok = w.Instance(instance)
	}
	if !ok {
		return Playing{}, fmt.Errorf("%w: %q", ErrNoInstance, instance)
	}
	begins := p.clock.Now().Add(time.Duration(e.In))
	return p.begin(w, &run{
		Playing: Playing{Instance: found.Name, Event: e, Begins: begins},
		steps:   e.sequence(w, found, begins),
	})
}

// Replace puts another world in place of the one in the store. Every event ends where it is,
// next makes the world, and the scenarios of all instances are played from now on. Of several
// replacements at once, one comes after the other.
func (p *Player) Replace(next func() *world.World) {
	p.beginning.Lock()
	defer p.beginning.Unlock()
	p.Clear()
	w := next()
	_ = p.worlds.Update(func(*world.World) (*world.World, error) { return w, nil }) // never fails
	p.beginScenarios()
}

// Begin plays the scenarios of all instances, from now on.
func (p *Player) Begin() {
	p.beginning.Lock()
	defer p.beginning.Unlock()
	p.beginScenarios()
}

func (p *Player) beginScenarios() {
	w, now := p.worlds.Load().State, p.clock.Now()
	for _, instance := range w.Instances {
		for _, happening := range instance.Scenario {
			if err := p.beginScenario(w, instance, happening, now); err != nil {
				p.logger.Warn("a scenario cannot be played", "instance", instance.Name, "at", happening.At.String(), "error", err)
			}
		}
	}
}

func (p *Player) beginScenario(w *world.World, instance *world.Instance, h fixtures.Happening, now time.Time) error {
	begins := now.Add(time.Duration(h.At))
	one := &run{Playing: Playing{
		Instance: instance.Name, Event: happening(h), Set: h.Set, Begins: begins,
	}}
	if h.Event != "" {
		one.steps = one.sequence(w, instance, begins)
	} else {
		var at step
		for _, path := range slices.Sorted(maps.Keys(h.Set)) {
			at.entries = append(at.entries, set(path, h.Set[path]))
		}
		one.steps = []step{at}
	}
	_, err := p.begin(w, one)
	return err
}

// begin has the clock call for the steps of an event which, as far as can be told, can be
// played in a world.
func (p *Player) begin(w *world.World, one *run) (Playing, error) {
	for _, s := range one.steps {
		var err error
		if w, err = s.apply(w, one.Instance); err != nil {
			return Playing{}, err
		}
	}
	one.Begins = one.Begins.UTC()
	one.Ends = one.Begins.Add(one.steps[len(one.steps)-1].after)
	if err := p.add(one); err != nil {
		return Playing{}, err
	}
	for i, s := range one.steps {
		p.keep(one, p.clock.At(one.Begins.Add(s.after), func() {
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

// keep remembers how the clock is made to forget a step of an event.
func (p *Player) keep(one *run, stop func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if one.over {
		stop()
		return
	}
	one.stops = append(one.stops, stop)
}

// perform does what is to be done at a step of an event. The event ends with the last one, and
// where its instance is no more or refuses it.
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

// endWhere ends some events, which change nothing any more. The caller holds mu.
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

// List is every event that has not ended, in the order in which they were begun.
func (p *Player) List() []Playing {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]Playing, len(p.playing))
	for i, one := range p.playing {
		list[i] = one.Playing
	}
	return list
}

// Cancel ends an event where it is, and tells whether it had not ended.
func (p *Player) Cancel(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.endWhere(func(one *run) bool { return one.ID == id }) > 0
}

// Clear ends every event where it is. An emulator that is thrown away has to be cleared.
func (p *Player) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endWhere(func(*run) bool { return true })
}
