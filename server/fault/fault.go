// Package fault decides which requests go wrong, and how, for tests of how a program takes
// it.
//
// Of the rules that there are, in the order in which they were made, the first one that is
// for a request is the only one that it meets. How an answer is spoilt is for package server,
// and what Google's servers would say for the dialects.
package fault

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/wildcard"
)

// Fault is a rule that is in force, and what has come of it.
type Fault struct {
	ID string `json:"id"`
	Rule

	Until    *time.Time `json:"until,omitempty"` // by the emulator's clock; nil: until it is removed
	Requests int        `json:"requests"`        // how many it was for
	Hits     int        `json:"hits"`            // how many of them went wrong
}

// Request is what a fault may be for.
type Request struct {
	Route, Path string
	Answer      Answer
	// Subject tells the account and the audience. It is only asked where a rule needs to know.
	Subject func() (account, audience string)
}

// Answer is how a request is answered, which limits what can go wrong with that.
type Answer int

// The kinds of Answer.
const (
	WithBody    Answer = iota // by HTTP
	WithoutBody               // by HTTP, to a HEAD request
	Message                   // in gRPC
)

// Set holds the faults of one emulator. It is safe for concurrent use; while there are none,
// it costs one atomic load a request.
type Set struct {
	routes  []string
	defects Defects
	clock   *clock.Clock

	mu    sync.Mutex // held while the list changes
	last  int        // the number of the newest fault
	armed atomic.Pointer[[]*armed]
}

// New is an empty set, of faults of the named routes and of the tokens that they give out.
func New(routes []string, defects Defects, emulator *clock.Clock) *Set {
	return &Set{routes: routes, defects: defects, clock: emulator}
}

// armed is a fault that counts.
type armed struct {
	clock  *clock.Clock
	ends   time.Time // by the clock's Steady: to set the clock back prolongs nothing; zero: never
	mu     sync.Mutex
	fault  Fault // the counts are guarded by mu
	random *rand.Rand
}

// maxFaults is how many there can be at once.
const maxFaults = 1000

// Add puts a rule in force. The error is a RuleError.
func (s *Set) Add(rule Rule) (Fault, error) {
	if err := rule.check(s.routes, s.defects); err != nil {
		return Fault{}, err
	}
	rule = rule.expanded()
	if rule.Probability > 0 && rule.Seed == 0 {
		rule.Seed = uint64(rand.Uint32()) + 1 //nolint:gosec // no secret
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.list()
	if len(before) >= maxFaults {
		return Fault{}, &RuleError{"", fmt.Sprintf("there are %d faults already; remove some", maxFaults)}
	}
	s.last++
	added := &armed{
		clock:  s.clock,
		fault:  Fault{ID: strconv.Itoa(s.last), Rule: rule},
		random: rand.New(rand.NewPCG(rule.Seed, 0)), //nolint:gosec // to be reproduced
	}
	if rule.For > 0 {
		added.ends = s.clock.Steady().Add(time.Duration(rule.For))
	}
	fresh := added.snapshot() // it counts from now on
	s.replace(append(slices.Clone(before), added))
	return fresh, nil
}

func (s *Set) list() []*armed {
	if list := s.armed.Load(); list != nil {
		return *list
	}
	return nil
}

// replace puts another list in place. The caller holds mu.
func (s *Set) replace(list []*armed) {
	if len(list) == 0 {
		s.armed.Store(nil)
		return
	}
	s.armed.Store(&list)
}

// List is every fault, in the order in which they were made.
func (s *Set) List() []Fault {
	faults := []Fault{}
	for _, one := range s.list() {
		faults = append(faults, one.snapshot())
	}
	return faults
}

// Find is the fault of an ID.
func (s *Set) Find(id string) (Fault, bool) {
	for _, one := range s.list() {
		if one.fault.ID == id {
			return one.snapshot(), true
		}
	}
	return Fault{}, false
}

// Remove takes a fault away, and tells whether it was there.
func (s *Set) Remove(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.list()
	after := slices.DeleteFunc(slices.Clone(before), func(one *armed) bool { return one.fault.ID == id })
	s.replace(after)
	return len(after) < len(before)
}

// Clear takes all faults away.
func (s *Set) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replace(nil)
}

// None tells whether there are no faults, as there are nearly always.
func (s *Set) None() bool { return s.armed.Load() == nil }

// Decide tells what a request meets.
func (s *Set) Decide(r Request) (Fault, bool) {
	list := s.armed.Load()
	if list == nil {
		return Fault{}, false
	}
	for _, one := range *list {
		if one.fault.isFor(r) && one.fault.strikes(r.Answer) && s.canHave(r.Route, one.fault.Defect) && one.hits() {
			return one.snapshot(), true
		}
	}
	return Fault{}, false
}

// canHave tells whether a token of a route can have a defect: a fault of many routes is only
// for those where it makes a difference.
func (s *Set) canHave(route, defect string) bool {
	return defect == "" || slices.Contains(s.defects[route], defect)
}

// isFor tells whether a rule is for a request at all.
func (r Rule) isFor(request Request) bool {
	if !wildcard.Match(r.Route, request.Route) || !wildcard.Match(r.Match.Path, request.Path) {
		return false
	}
	if r.Match.Account == "" && r.Match.Audience == "" {
		return true
	}
	account, audience := request.Subject()
	return wildcard.Match(r.Match.Account, account) && wildcard.Match(r.Match.Audience, audience)
}

// hits counts a request that a fault is for, and tells whether it goes wrong.
func (a *armed) hits() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := &a.fault
	if !a.ends.IsZero() && !a.clock.Steady().Before(a.ends) {
		return false
	}
	f.Requests++
	counted := f.Requests - f.After
	switch {
	case counted <= 0,
		f.Every > 0 && counted%f.Every != 0,
		f.Times > 0 && f.Hits >= f.Times,
		f.Probability > 0 && a.random.Float64() >= f.Probability:
		return false
	}
	f.Hits++
	return true
}

// Missed takes back that a request went wrong by a fault: nothing came of it.
func (s *Set) Missed(id string) {
	for _, one := range s.list() {
		if one.fault.ID == id {
			one.mu.Lock()
			one.fault.Hits--
			one.mu.Unlock()
			return
		}
	}
}

func (a *armed) snapshot() Fault {
	a.mu.Lock()
	defer a.mu.Unlock()
	fault := a.fault
	if !a.ends.IsZero() {
		until := a.clock.When(a.ends).UTC()
		fault.Until = &until
	}
	return fault
}
