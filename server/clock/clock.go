// Package clock is the emulator's time, which every token, certificate, cache and answer
// goes by.
//
// It follows the machine's until it is set, frozen or advanced, and then runs on from where
// it was put, or stands. Whoever waits for a moment of emulator time is woken by a change
// that brings it. What takes time for real, such as the delay of a fault or a timeout on a
// connection, does not go by it.
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

// Clock is the time of one emulator. It is safe for concurrent use; reading it takes no
// lock, and one that follows the machine costs no more than the machine's own.
type Clock struct {
	machine func() time.Time
	course  atomic.Pointer[course]

	mu     sync.Mutex // held while the course changes
	alarms map[*alarm]struct{}
	set    uint64   // how many alarms there have been
	due    []*alarm // of At, whose time has come
	moved  bool     // the timeouts do not know of the course yet

	calling sync.Mutex // held while the functions of those are called
}

// course is how a clock goes from some moment of the machine's on.
type course struct {
	since  time.Time // the machine's
	steady time.Time // what Steady was then

	follows bool      // it is the machine's
	from    time.Time // what it was then, if it does not follow the machine
	frozen  bool      // it stands there
}

// New is a clock that follows the machine's.
func New(machine func() time.Time) *Clock {
	c := &Clock{machine: machine, alarms: map[*alarm]struct{}{}}
	now := machine()
	c.course.Store(&course{since: now, steady: now, follows: true})
	return c
}

// Now is the emulator's time.
func (c *Clock) Now() time.Time {
	now, _ := c.Both()
	return now
}

// Both is the emulator's time and the machine's, since which one can measure how long
// something really takes.
func (c *Clock) Both() (emulated, machine time.Time) {
	machine = c.machine()
	return c.course.Load().at(machine), machine
}

// Steady is a time that passes as the emulator's does, but never goes back. It measures how
// much of that has passed, and is no date.
func (c *Clock) Steady() time.Time { return c.course.Load().steadyAt(c.machine()) }

// When is what Now will be when Steady is so late, unless the clock is moved before.
func (c *Clock) When(steady time.Time) time.Time {
	goes := c.course.Load()
	begun := goes.from
	if goes.follows {
		begun = goes.since
	}
	return begun.Add(steady.Sub(goes.steady))
}

// at is the time when it is so late by the machine's.
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

// FollowsMachine tells whether the clock is as the machine's.
func (c *Clock) FollowsMachine() bool { return c.course.Load().follows }

// Frozen tells whether the clock stands.
func (c *Clock) Frozen() bool { return c.course.Load().frozen }

// The earliest time to which a clock can be set, and the one before which it has to be: the
// formats of tokens and certificates have no others.
const (
	earliestYear = 1970
	endYear      = 9999
)

// RangeError says that a clock cannot be set to a time.
type RangeError struct{ Time time.Time }

func (e *RangeError) Error() string {
	return fmt.Sprintf("the clock cannot be set to %s: it goes from %d to the end of %d",
		e.Time.Format(time.RFC3339), earliestYear, endYear-1)
}

// Setting is how a clock is to go. What is nil stays as it is.
type Setting struct {
	Now    *time.Time
	Frozen *bool
}

// Put makes the clock, which may go back as well, go as a setting says, from one moment to the
// next. The error is a RangeError, and then the clock goes on as it did.
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

// Set puts the clock to another time. It goes on from there, or stands there if it was
// frozen. The error is a RangeError.
func (c *Clock) Set(now time.Time) error { return c.Put(Setting{Now: &now}) }

// Freeze makes the clock stand.
func (c *Clock) Freeze() { _ = c.Put(Setting{Frozen: new(true)}) } // refuses times alone

// Run makes the clock go on from where it stands.
func (c *Clock) Run() { _ = c.Put(Setting{Frozen: new(false)}) }

// BackwardError says that a clock was to be advanced by a negative duration.
type BackwardError struct{ Duration time.Duration }

func (e *BackwardError) Error() string {
	return fmt.Sprintf("the clock cannot be advanced by %v; to go back, set it", e.Duration)
}

// Advance puts the clock on. The error is a BackwardError or a RangeError.
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

// change puts the clock on another course, unless there is an error. What it brings happens in
// its order: first the functions of At are called, and then timeouts pass, so that whoever
// waits until one misses nothing of the time before.
func (c *Clock) change(next func(now time.Time, goes course) (course, error)) error {
	if err := c.redirect(next); err != nil {
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
	goesOn.from = goesOn.from.Round(0).UTC() // without the machine's own reading
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

// alarm is one that waits for a moment of emulator time, or until so much of it has passed.
type alarm struct {
	at    time.Time   // by Now if there is something to call, else by Steady
	turn  uint64      // among those of the same moment
	timer *time.Timer // nil while the clock stands
	ring  func()      // with the clock's mu held
	call  func()      // of At
}

// arm makes an alarm ring when its time comes as the clock goes now. The caller holds mu.
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

// look makes an alarm ring whose timer has fired, unless the clock has been changed since. One
// of At takes those with it whose time has come as well, for all to be in order.
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

// wait makes an alarm wait.
func (c *Clock) wait(a *alarm, at time.Time) {
	c.set++
	a.at, a.turn = at, c.set
	c.alarms[a] = struct{}{}
	c.arm(a)
}

// forget makes an alarm wait no longer. The caller holds mu.
func (c *Clock) forget(a *alarm) {
	delete(c.alarms, a)
	if a.timer != nil {
		a.timer.Stop()
	}
}

// At calls a function when the emulator's time has come to a moment: before it returns, where
// it has already, and before whatever brings it returns, such as Advance. Functions are called
// one after the other, in the order of their moments. They must neither change the clock nor
// call At. A clock that is set back comes to the moment later. Stop makes the clock forget the
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

// callDue calls the functions whose time has come. Timeouts whose time has come too by a move of
// the clock pass when all have been.
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

// armTimeouts tells the timeouts of the course of the clock. The caller holds mu.
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

// WithTimeout is context.WithTimeout in emulator time: while the clock stands no timeout
// passes, and advancing it makes one pass at once. One that is set back makes nobody wait
// longer than he would have.
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
