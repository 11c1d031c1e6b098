// Package fault decides which requests go wrong and how, so that tests can check a program's
// error handling.
//
// Rules apply in the order in which they were added, and a request meets only the first
// matching rule. Package inject spoils the answer, and the dialects write the texts of Google's
// servers.
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

// Fault is an active rule with its counts.
type Fault struct {
	ID string `json:"id"`
	Rule

	Until    *time.Time `json:"until,omitempty"` // by the emulator's clock; nil: until the fault is removed
	Requests int        `json:"requests"`        // the number of matching requests
	Hits     int        `json:"hits"`            // the number of requests that went wrong
}

// Request is the part of a request relevant for rules.
type Request struct {
	Route, Path string
	Answer      Answer
	// Subject returns the account and the audience of the request. Decide calls it only if a
	// rule needs it.
	Subject func() (account, audience string)
}

// Answer is the form of an answer, which limits the possible effects of a fault.
type Answer int

// The forms of an Answer.
const (
	WithBody    Answer = iota // HTTP
	WithoutBody               // HTTP, to a HEAD request
	Message                   // gRPC
)

// Set holds the faults of one emulator. It is safe for concurrent use. Without faults it costs
// one atomic load per request.
type Set struct {
	routes  []string
	further func() []string // routes that come and go; nil: none
	defects Defects
	clock   *clock.Clock
	keeper  Keeper // nil: the rules are only in this process

	mu    sync.Mutex // held while the list changes
	last  int        // the number of the newest fault
	armed atomic.Pointer[[]*armed]
}

// New returns an empty set. It accepts faults for the given routes, and the given defects for
// their tokens.
func New(routes []string, defects Defects, emulator *clock.Clock) *Set {
	return &Set{routes: routes, defects: defects, clock: emulator}
}

// Also accepts faults for further routes, which a function names at the moment. Call it before the
// set is used.
func (s *Set) Also(routes func() []string) { s.further = routes }

// known returns the routes that there are at the moment.
func (s *Set) known() []string {
	if s.further == nil {
		return s.routes
	}
	return slices.Concat(s.routes, s.further())
}

// armed is an active fault with its counters.
type armed struct {
	number int
	clock  *clock.Clock
	ends   time.Time // by the clock's Steady, so that setting the clock back prolongs nothing; zero: never
	mu     sync.Mutex
	fault  Fault // the counts are guarded by mu
	random *rand.Rand
}

// maxFaults limits the number of faults at once.
const maxFaults = 1000

// Add activates a rule. The error is a *RuleError, unless several
// processes share the set.
func (s *Set) Add(rule Rule) (Fault, error) {
	if err := rule.check(s.known(), s.defects); err != nil {
		return Fault{}, err
	}
	rule = rule.expanded()
	if rule.Probability > 0 && rule.Seed == 0 {
		rule.Seed = uint64(rand.Uint32()) + 1 //nolint:gosec // not a secret
	}
	if s.keeper != nil {
		if len(s.list()) >= maxFaults {
			return Fault{}, tooMany()
		}
		return s.share(rule)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.list()
	if len(before) >= maxFaults {
		return Fault{}, tooMany()
	}
	s.last++
	added := s.arm(s.last, rule)
	fresh := added.snapshot() // taken before other requests can count
	s.replace(append(slices.Clone(before), added))
	return fresh, nil
}

func tooMany() error {
	return &RuleError{"", fmt.Sprintf("there are %d faults already: remove some", maxFaults)}
}

// arm returns the fault of a rule, which begins now.
func (s *Set) arm(number int, rule Rule) *armed {
	added := &armed{
		number: number,
		clock:  s.clock,
		fault:  Fault{ID: strconv.Itoa(number), Rule: rule},
		random: rand.New(rand.NewPCG(rule.Seed, 0)), //nolint:gosec // a test can repeat the draws
	}
	if rule.For > 0 {
		added.ends = s.clock.Steady().Add(time.Duration(rule.For))
	}
	return added
}

func (s *Set) list() []*armed {
	if list := s.armed.Load(); list != nil {
		return *list
	}
	return nil
}

// replace stores another list. The caller must hold mu.
func (s *Set) replace(list []*armed) {
	if len(list) == 0 {
		s.armed.Store(nil)
		return
	}
	s.armed.Store(&list)
}

// List returns every fault, in the order in which they were added.
func (s *Set) List() []Fault {
	faults := []Fault{}
	for _, one := range s.list() {
		faults = append(faults, one.snapshot())
	}
	return faults
}

// Find returns the fault with the given ID.
func (s *Set) Find(id string) (Fault, bool) {
	for _, one := range s.list() {
		if one.fault.ID == id {
			return one.snapshot(), true
		}
	}
	return Fault{}, false
}

// Remove removes a fault and reports whether it existed. There is an error only if several processes share
// the set.
func (s *Set) Remove(id string) (bool, error) {
	if s.keeper != nil {
		number, _ := strconv.Atoi(id) // no fault has number 0
		return s.keeper.Remove(number)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.list()
	after := slices.DeleteFunc(slices.Clone(before), func(one *armed) bool { return one.fault.ID == id })
	s.replace(after)
	return len(after) < len(before), nil
}

// Clear removes all faults. The error is like that of Remove.
func (s *Set) Clear() error {
	if s.keeper != nil {
		return s.keeper.Clear()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replace(nil)
	return nil
}

// None reports whether there are no faults, as is nearly always the case.
func (s *Set) None() bool { return s.armed.Load() == nil }

// Decide returns the fault for a request. If there is none, ok is false.
func (s *Set) Decide(r Request) (f Fault, ok bool) {
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

// canHave reports whether a token of the route can have the defect. If a fault is for many routes,
// it applies only to the routes with such tokens.
func (s *Set) canHave(route, defect string) bool {
	return defect == "" || slices.Contains(s.defects[route], defect)
}

// isFor reports whether the rule matches a request.
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

// hits counts a matching request and reports whether the fault strikes it.
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

// Missed takes back a hit of the fault, because the fault did not change the answer.
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
