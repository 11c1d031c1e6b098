package event

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/world"
)

// Kept is an unfinished event that several processes share.
type Kept struct {
	Playing

	Run   int    `json:"run"` // of the world to which the event belongs: a restart of the world begins another
	Steps []step `json:"steps"`
	Done  int    `json:"done"` // the number of steps that have happened
}

// due returns the time of the next step.
func (k *Kept) due() time.Time { return k.Begins.Add(k.Steps[k.Done].After) }

// Keeper keeps the events of a world that several processes share. Each method returns after List of this
// process knows the result.
type Keeper interface {
	// Run returns the present run of the world.
	Run() int
	// List returns the events of the present run, in the order of their starts.
	List() []Kept
	// Add keeps an event under a new ID.
	Add(event Kept) (Kept, error)
	// BeginRun keeps the scenarios of a run, unless a process has done so. It calls scenarios only if
	// necessary.
	BeginRun(run int, scenarios func() []Kept) error
	// Remove removes an event, and reports whether it existed.
	Remove(id string) (existed bool, err error)
	// Step returns the keeper of the version of the world after the next step of an event. If this
	// version becomes the newest, the keeper counts the step, and removes the events that the step ends.
	// If another step is the next now, it returns ErrTaken.
	Step(event Kept, ends []string) store.Keeper[*world.World]
	// Anew returns the keeper of a version of the world that ends all events and begins another run.
	Anew() store.Keeper[*world.World]
}

// ErrTaken means that another process has performed a step, or the event has ended.
var ErrTaken = errors.New("another process has performed the step")

// Keep makes several processes share the events. One of the processes must call PlayShared. Call
// Keep before the player is used.
func (p *Player) Keep(keeper Keeper) { p.keeper = keeper }

// run returns the present run of the world that several processes share.
func (p *Player) run() int {
	if p.keeper == nil {
		return 0
	}
	return p.keeper.Run()
}

// share starts an event for all processes.
func (p *Player) share(one *run, of int) (Playing, error) {
	if len(p.keeper.List()) >= maxPlaying {
		return Playing{}, ErrTooMany
	}
	added, err := p.keeper.Add(one.kept(of))
	if err != nil {
		return Playing{}, err
	}
	_, err = p.PlayShared()
	return added.Playing, err
}

func (r *run) kept(of int) Kept { return Kept{Playing: r.Playing, Run: of, Steps: r.steps} }

// shared returns the events that several processes share.
func (p *Player) shared() []Playing {
	kept := p.keeper.List()
	list := make([]Playing, len(kept))
	for i, one := range kept {
		list[i] = one.Playing
	}
	return list
}

// PlayShared begins the scenarios of the present run if no process has, and performs the steps whose time
// has come, each after settling the previous step. Any process may call it at any time: each step happens
// once. It returns the time of the next step, or the zero time if there is none. After an error, such as
// an unreachable keeper, the steps that have not happened are still due.
func (p *Player) PlayShared() (next time.Time, err error) {
	if err := p.beginRun(); err != nil {
		return time.Time{}, err
	}
	for {
		list := p.keeper.List()
		first, ok := firstOf(list)
		if !ok {
			return time.Time{}, nil
		}
		if first.due().After(p.clock.Now()) {
			return first.due(), nil
		}
		if err := p.performShared(first, list); err != nil {
			return time.Time{}, err
		}
		p.settle()
	}
}

// Due returns the next step of all events of several processes, and its time. If there is no step, ok is
// false.
func (p *Player) Due() (next Step, due time.Time, ok bool) {
	first, ok := firstOf(p.keeper.List())
	if !ok {
		return Step{}, time.Time{}, false
	}
	return Step{first.ID, first.Done}, first.due(), true
}

// Step is a step of an event, the first being number 0.
type Step struct {
	Event  string
	Number int
}

// firstOf returns the event with the earliest next step.
func firstOf(list []Kept) (first Kept, ok bool) {
	if len(list) == 0 {
		return Kept{}, false
	}
	return slices.MinFunc(list, func(a, b Kept) int { return a.due().Compare(b.due()) }), true
}

func (p *Player) beginRun() error {
	of := p.keeper.Run()
	return p.keeper.BeginRun(of, func() []Kept {
		var list []Kept
		p.eachScenario(func(one *run) error {
			if len(list) >= maxPlaying {
				return ErrTooMany
			}
			list = append(list, one.kept(of))
			return nil
		})
		return list
	})
}

// performShared performs the next step of an event, unless another process has.
func (p *Player) performShared(one Kept, all []Kept) error {
	var ends []string
	for _, other := range all {
		isSame := other.Instance == one.Instance && other.Type == one.Type
		if one.Done == 0 && other.Done > 0 && isSame {
			ends = append(ends, other.ID)
		}
	}
	var refused error
	err := p.worlds.UpdateBy(p.keeper.Step(one, ends), func(w *world.World) (*world.World, error) {
		next, err := one.Steps[one.Done].apply(w, one.Instance)
		refused = err
		return next, err
	})
	switch {
	case refused != nil:
		if !errors.Is(refused, ErrNoInstance) {
			p.logger.Warn("an event has ended early", "instance", one.Instance, "type", cmp.Or(string(one.Type), "set"), "error", refused)
		}
		_, err := p.keeper.Remove(one.ID)
		return err
	case errors.Is(err, ErrTaken):
		return nil
	}
	return err
}
