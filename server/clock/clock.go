// Package clock is the emulator's time, which every token, certificate, cache and answer uses.
//
// It follows the machine's time until somebody sets, freezes or advances it; then it runs on from
// its new time, or stands still. If a change brings the moment of waiters, it wakes them. Real
// waits, such as a fault's delay or a connection's timeout, use the machine's time instead.
package clock

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Clock is the time of one emulator. It is safe for concurrent use. Reading it takes no lock,
// and costs no more than reading the machine's clock while the Clock follows it.
type Clock struct {
	machine func() time.Time
	keeper  Keeper // nil: the clock is of this process alone
	course  atomic.Pointer[course]

	mu     sync.Mutex // held while the course changes
	alarms map[*alarm]struct{}
	set    uint64   // the number of alarms so far
	due    []*alarm // alarms of At whose time has come
	moved  bool     // the timeouts still follow the previous course

	calling sync.Mutex // held while the functions of due alarms run
}

// course says how a clock runs from some moment of the machine's time.
type course struct {
	since  time.Time // the start, by the machine's clock
	steady time.Time // Steady at the start

	shared  Course    // of a clock of several processes: what they call this course
	follows bool      // the time is the machine's
	from    time.Time // the emulator's time at the start, unless follows
	frozen  bool      // the time stays at from
}

// New returns a clock that follows machine.
func New(machine func() time.Time) *Clock {
	c := &Clock{machine: machine, alarms: map[*alarm]struct{}{}}
	now := machine()
	c.course.Store(&course{shared: Machine(), since: now, steady: now, follows: true})
	return c
}

// Now returns the emulator's time.
func (c *Clock) Now() time.Time {
	now, _ := c.Both()
	return now
}

// Both returns the emulator's time and the machine's. Use the latter to measure real durations.
func (c *Clock) Both() (emulated, machine time.Time) {
	machine = c.machine()
	return c.course.Load().at(machine), machine
}

// Steady returns a time that passes like the emulator's but never goes back. Use it to measure
// emulator time; it is not a date.
func (c *Clock) Steady() time.Time { return c.course.Load().steadyAt(c.machine()) }

// When returns the value of Now at the given Steady time, unless somebody moves the clock
// before.
func (c *Clock) When(steady time.Time) time.Time {
	goes := c.course.Load()
	begun := goes.from
	if goes.follows {
		begun = goes.since
	}
	return begun.Add(steady.Sub(goes.steady))
}

// at returns the emulator's time at a moment of the machine's.
func (c *course) at(machine time.Time) time.Time {
	switch {
	case c.follows:
		return machine
	case c.frozen:
		return c.from
	default:
		return c.from.Add(machine.Sub(c.since))
	}
}

func (c *course) steadyAt(machine time.Time) time.Time {
	if c.frozen {
		return c.steady
	}
	return c.steady.Add(machine.Sub(c.since))
}

// FollowsMachine reports whether the clock follows the machine's.
func (c *Clock) FollowsMachine() bool { return c.course.Load().follows }

// Frozen reports whether the clock stands still.
func (c *Clock) Frozen() bool { return c.course.Load().frozen }

// A clock can be set from the start of earliestYear up to, but not including, endYear. The
// formats of tokens and certificates allow no other years.
const (
	earliestYear = 1970
	endYear      = 9999
)

// RangeError reports a time outside a clock's range.
type RangeError struct{ Time time.Time }

func (e *RangeError) Error() string {
	return fmt.Sprintf("the clock cannot be set to %s: give a time from %d to the end of %d",
		e.Time.Format(time.RFC3339), earliestYear, endYear-1)
}

// Setting changes a clock. Nil fields leave the clock as it is.
type Setting struct {
	Now    *time.Time
	Frozen *bool
}

// Put applies s in one step. The clock may go back. The error is a RangeError, and then the
// clock does not change.
func (c *Clock) Put(s Setting) error {
	if s.Now != nil {
		if err := check(*s.Now); err != nil {
			return err
		}
	}
	return c.change(func(now time.Time, goes course) (course, error) {
		switch {
		case s.Now != nil:
			now = *s.Now
		case goes.follows && (s.Frozen == nil || !*s.Frozen):
			return goes, nil
		}
		if s.Frozen != nil {
			goes.frozen = *s.Frozen
		}
		return course{from: now, frozen: goes.frozen}, nil
	})
}

func check(now time.Time) error {
	if year := now.UTC().Year(); year < earliestYear || year >= endYear {
		return &RangeError{now.UTC()}
	}
	return nil
}

// Set moves the clock to another time. It runs on from there, or stays there if it is frozen.
// The error is a RangeError.
func (c *Clock) Set(now time.Time) error { return c.Put(Setting{Now: &now}) }

// Freeze stops the clock.
func (c *Clock) Freeze() { _ = c.Put(Setting{Frozen: new(true)}) } // Put only refuses times

// Run lets a frozen clock run on.
func (c *Clock) Run() { _ = c.Put(Setting{Frozen: new(false)}) }

// BackwardError reports an attempt to advance a clock by a negative duration.
type BackwardError struct{ Duration time.Duration }

func (e *BackwardError) Error() string {
	return fmt.Sprintf("the clock cannot be advanced by %v: to go back, set it", e.Duration)
}

// Advance moves the clock forward. The error is a BackwardError or a RangeError.
func (c *Clock) Advance(by time.Duration) error {
	if by < 0 {
		return &BackwardError{by}
	}
	return c.change(func(now time.Time, goes course) (course, error) {
		next := now.Add(by)
		return course{from: next, frozen: goes.frozen}, check(next)
	})
}

// Reset makes the clock follow the machine's again.
func (c *Clock) Reset() {
	_ = c.change(func(time.Time, course) (course, error) { return course{follows: true}, nil })
}

// change puts the clock on another course unless next returns an error. It calls the due
// functions of At first and ends timeouts afterwards, so that waiting callers see every change
// from before their timeout.
func (c *Clock) change(next func(now time.Time, goes course) (course, error)) error {
	turn := c.redirect
	if c.keeper != nil {
		turn = c.redirectAll
	}
	if err := turn(next); err != nil {
		return err
	}
	c.callDue()
	return nil
}

func (c *Clock) redirect(next func(now time.Time, goes course) (course, error)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	goes, machine := c.course.Load(), c.machine()
	before := goes.at(machine)
	goesOn, err := next(before, *goes)
	if err != nil {
		return err
	}
	goesOn.from = goesOn.from.Round(0).UTC() // drops the monotonic reading
	goesOn.since = machine
	goesOn.steady = goes.steadyAt(machine).Add(max(0, goesOn.at(machine).Sub(before)))
	c.course.Store(&goesOn)
	c.moved = true
	for waiting := range c.alarms {
		if waiting.call != nil {
			c.arm(waiting)
		}
	}
	return nil
}

// alarm waits for a moment of emulator time, or for a duration of it.
type alarm struct {
	at    time.Time   // by Now if call is set, else by Steady
	turn  uint64      // orders alarms of the same moment
	timer *time.Timer // nil while the clock is frozen
	ring  func()      // called with the clock's mu held
	call  func()      // the function given to At
}

// arm rings the alarm if its time has come, and otherwise sets its timer. The caller must hold
// mu.
func (c *Clock) arm(a *alarm) {
	if a.timer != nil {
		a.timer.Stop()
		a.timer = nil
	}
	left := a.at.Sub(c.Steady())
	if a.call != nil {
		left = a.at.Sub(c.Now())
	}
	switch {
	case left <= 0:
		a.ring()
	case !c.Frozen():
		a.timer = time.AfterFunc(left, func() { c.look(a) })
	}
}

// look handles a fired timer: it rings the alarm unless the clock has been changed meanwhile.
// If the alarm belongs to At, look also rings every other due alarm of At, so that all run in
// order.
func (c *Clock) look(fired *alarm) {
	c.mu.Lock()
	if _, waits := c.alarms[fired]; waits {
		c.arm(fired)
	}
	now := c.Now()
	if fired.call != nil {
		for a := range c.alarms {
			if a.call != nil && !now.Before(a.at) {
				c.arm(a)
			}
		}
	}
	c.mu.Unlock()
	c.callDue()
}

// wait registers an alarm for a moment.
func (c *Clock) wait(a *alarm, at time.Time) {
	c.set++
	a.at, a.turn = at, c.set
	c.alarms[a] = struct{}{}
	c.arm(a)
}

// forget removes an alarm. The caller must hold mu.
func (c *Clock) forget(a *alarm) {
	delete(c.alarms, a)
	if a.timer != nil {
		a.timer.Stop()
	}
}

// At calls a function when the emulator's time reaches moment. If it has already, the call happens
// before At returns. If a method such as Advance reaches it, the call happens before this method
// returns.
//
// Functions run one at a time, in the order of their moments. They must not change the clock or
// call At. If the clock is set back, the moment comes later. stop makes the clock forget the
// function.
func (c *Clock) At(moment time.Time, call func()) (stop func()) {
	waiting := &alarm{call: call}
	waiting.ring = func() {
		c.forget(waiting)
		c.due = append(c.due, waiting)
	}
	c.mu.Lock()
	c.wait(waiting, moment)
	c.mu.Unlock()
	c.callDue()
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.forget(waiting)
		c.due = slices.DeleteFunc(c.due, func(a *alarm) bool { return a == waiting })
	}
}

// callDue calls the due functions. After all of them it ends the timeouts made due by a move of
// the clock.
func (c *Clock) callDue() {
	c.calling.Lock()
	defer c.calling.Unlock()
	for next := c.nextDue(); next != nil; next = c.nextDue() {
		next.call()
	}
}

func (c *Clock) nextDue() *alarm {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.due) == 0 {
		c.due = nil
		c.armTimeouts()
		return nil
	}
	next := slices.MinFunc(c.due, func(a, b *alarm) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.turn, b.turn)) })
	c.due = slices.DeleteFunc(c.due, func(a *alarm) bool { return a == next })
	return next
}

// armTimeouts adapts the timeouts to a new course of the clock. The caller must hold mu.
func (c *Clock) armTimeouts() {
	if !c.moved {
		return
	}
	c.moved = false
	for waiting := range c.alarms {
		if waiting.call == nil {
			c.arm(waiting)
		}
	}
}

// WithTimeout is context.WithTimeout in emulator time. A frozen clock ends no timeout, and
// advancing the clock ends due timeouts at once. Setting the clock back does not prolong a
// timeout.
func (c *Clock) WithTimeout(parent context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	waiting := &alarm{ring: func() { cancel(context.DeadlineExceeded) }}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wait(waiting, c.Steady().Add(timeout))
	return ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.forget(waiting)
		cancel(context.Canceled)
	}
}
