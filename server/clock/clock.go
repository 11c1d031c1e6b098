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
	course  atomic.Pointer[course] // nil: the machine's

	mu     sync.Mutex // held while the course changes
	alarms map[*alarm]struct{}
	set    uint64   // how many alarms there have been
	due    []*alarm // of At, whose time has come

	calling sync.Mutex // held while the functions of those are called
}

// course is how a clock goes that does not follow the machine: on from a moment, at which
// the machine's read since, or not at all.
type course struct {
	from, since time.Time
	frozen      bool
}

// New is a clock that follows the machine's.
func New(machine func() time.Time) *Clock {
	return &Clock{machine: machine, alarms: map[*alarm]struct{}{}}
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
	course := c.course.Load()
	switch {
	case course == nil:
		return machine, machine
	case course.frozen:
		return course.from, machine
	default:
		return course.from.Add(machine.Sub(course.since)), machine
	}
}

// FollowsMachine tells whether the clock is as the machine's.
func (c *Clock) FollowsMachine() bool { return c.course.Load() == nil }

// Frozen tells whether the clock stands.
func (c *Clock) Frozen() bool {
	course := c.course.Load()
	return course != nil && course.frozen
}

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

// Set puts the clock, which may go back as well, to another time. It goes on from there, or
// stands there if it was frozen. The error is a RangeError.
func (c *Clock) Set(now time.Time) error {
	return c.move(func(time.Time) time.Time { return now })
}

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
	return c.move(func(now time.Time) time.Time { return now.Add(by) })
}

// Freeze makes the clock stand.
func (c *Clock) Freeze() {
	c.change(func(now time.Time) *course { return &course{from: now, frozen: true} })
}

// Run makes the clock go on from where it stands.
func (c *Clock) Run() {
	c.change(func(now time.Time) *course {
		if c.FollowsMachine() {
			return nil
		}
		return &course{from: now, since: c.machine()}
	})
}

// Reset makes the clock follow the machine's again.
func (c *Clock) Reset() { c.change(func(time.Time) *course { return nil }) }

func (c *Clock) move(to func(now time.Time) time.Time) (err error) {
	c.change(func(now time.Time) *course {
		next := to(now).Round(0).UTC() // without the machine's own reading
		if year := next.Year(); year < earliestYear || year >= endYear {
			err = &RangeError{next}
			return c.course.Load()
		}
		return &course{from: next, since: c.machine(), frozen: c.Frozen()}
	})
	return err
}

// change puts the clock on another course and wakes those whose time it brings. One that
// goes back makes nobody wait longer than he would have.
func (c *Clock) change(next func(now time.Time) *course) {
	c.redirect(next)
	c.callDue()
}

func (c *Clock) redirect(next func(now time.Time) *course) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.Now()
	c.course.Store(next(before))
	after := c.Now()
	for waiting := range c.alarms {
		if after.Before(before) {
			waiting.at = after.Add(waiting.at.Sub(before))
		}
		c.arm(waiting)
	}
}

// alarm is one that waits for a moment of emulator time.
type alarm struct {
	at    time.Time
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
	left := a.at.Sub(c.Now())
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
			if !now.Before(a.at) {
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
// call At. Stop makes the clock forget the function.
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

// callDue calls the functions whose time has come.
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
		return nil
	}
	next := slices.MinFunc(c.due, func(a, b *alarm) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.turn, b.turn)) })
	c.due = slices.DeleteFunc(c.due, func(a *alarm) bool { return a == next })
	return next
}

// WithTimeout is context.WithTimeout in emulator time: while the clock stands no timeout
// passes, and advancing it makes one pass at once.
func (c *Clock) WithTimeout(parent context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	waiting := &alarm{ring: func() { cancel(context.DeadlineExceeded) }}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wait(waiting, c.Now().Add(timeout))
	return ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.forget(waiting)
		cancel(context.Canceled)
	}
}
