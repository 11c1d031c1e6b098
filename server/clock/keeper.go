package clock

import (
	"errors"
	"time"
)

// Course says how a clock runs, in a form that other processes understand.
type Course struct {
	Follows bool      `json:"follows,omitempty"` // the machine's clock
	Since   time.Time `json:"since,omitzero"`    // the start, by the machine's clock
	From    time.Time `json:"from,omitzero"`     // the emulator's time at the start
	Frozen  bool      `json:"frozen,omitempty"`  // the time stays at From
}

// Machine returns the course of a clock that follows the machine's.
func Machine() Course { return Course{Follows: true} }

// Keeper keeps the course of a clock that several processes share.
type Keeper interface {
	// Replace puts every process's clock on another course, if none has left current before. It calls
	// Follow of the process's own clock before it returns. The error is ErrOutdated if the clocks are
	// on another course already, of which the clock gets to know as well.
	Replace(current, next Course) error
}

// ErrOutdated means that somebody has changed the clock before its replacement.
var ErrOutdated = errors.New("the clock has been changed meanwhile")

// Keep makes the clock one of several processes'. Call it, and then Follow, before the clock is used.
func (c *Clock) Keep(keeper Keeper) { c.keeper = keeper }

// Follow puts the clock on a course that is decided. Due functions are called soon afterwards, and not by
// this call.
func (c *Clock) Follow(to Course) {
	_ = c.redirect(func(time.Time, course) (course, error) { // never fails
		return course{shared: to, follows: to.Follows, frozen: to.Frozen, from: to.at(c.machine())}, nil
	})
	go c.callDue()
}

// at returns the emulator's time on the course, which does not follow the machine's clock.
func (c Course) at(machine time.Time) time.Time {
	if c.Frozen || c.Follows {
		return c.From
	}
	return c.From.Add(machine.Round(0).Sub(c.Since))
}

// redirectAll is redirect for the clocks of all processes.
func (c *Clock) redirectAll(next func(now time.Time, goes course) (course, error)) error {
	for {
		goes, machine := c.course.Load(), c.machine()
		goesOn, err := next(goes.at(machine), *goes)
		if err != nil {
			return err
		}
		wanted := Machine()
		if !goesOn.follows {
			wanted = Course{Since: machine.Round(0).UTC(), From: goesOn.from.Round(0).UTC(), Frozen: goesOn.frozen}
		}
		if err := c.keeper.Replace(goes.shared, wanted); !errors.Is(err, ErrOutdated) {
			return err
		}
	}
}
