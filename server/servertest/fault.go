package servertest

import (
	"encoding/json"
	"sync/atomic"
	"time"

	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/fault"
	"gcp-metadata-emulator/server/token"
)

// Effect is what a fault does, or to which requests. See package fault for what each means.
type Effect func(*fault.Rule)

// Status answers so, and without a [Body] in the words of Google's servers.
func Status(code int) Effect { return func(r *fault.Rule) { r.Status = code } }

// Body answers with a text, or with any other value as JSON.
func Body(value any) Effect {
	return func(r *fault.Rule) {
		encoded, err := json.Marshal(value)
		if err != nil {
			panic(err) // a value that the test has written down
		}
		r.Body = encoded
	}
}

// Delay lets real time pass before the answer.
func Delay(by time.Duration) Effect { return func(r *fault.Rule) { r.Delay = clock.Duration(by) } }

// HangUp ends the connection: [fault.BeforeAny] of the answer is sent, or [fault.DuringBody].
func HangUp(at fault.HangUp) Effect { return func(r *fault.Rule) { r.HangUp = at } }

// Defect issues the token that is asked for with something wrong, such as [token.Expired].
func Defect(defect token.Defect) Effect { return func(r *fault.Rule) { r.Defect = string(defect) } }

// Malformed leaves the second half of the body out.
func Malformed() Effect { return func(r *fault.Rule) { r.Malformed = true } }

// WithoutHeader leaves a header field out, such as "Metadata-Flavor".
func WithoutHeader(name string) Effect { return func(r *fault.Rule) { r.WithoutHeader = name } }

// Outage makes a metadata server as it is at [fault.Boot], or in a [fault.LiveMigration].
func Outage(of fault.Outage) Effect { return func(r *fault.Rule) { r.Outage = of } }

// Account limits a fault to requests that are about an account.
func Account(email string) Effect { return func(r *fault.Rule) { r.Match.Account = email } }

// Audience limits a fault to requests for ID tokens for an audience.
func Audience(audience string) Effect { return func(r *fault.Rule) { r.Match.Audience = audience } }

// Path limits a fault to requests of a path.
func Path(path string) Effect { return func(r *fault.Rule) { r.Match.Path = path } }

// After spares the first n requests.
func After(n int) Effect { return func(r *fault.Rule) { r.After = n } }

// Every strikes each nth request only.
func Every(n int) Effect { return func(r *fault.Rule) { r.Every = n } }

// Times strikes n requests at the most.
func Times(n int) Effect { return func(r *fault.Rule) { r.Times = n } }

// For strikes while so much emulator time passes.
func For(d time.Duration) Effect { return func(r *fault.Rule) { r.For = clock.Duration(d) } }

// Probability strikes a share of the requests, from 0 to 1. The same seed brings the same ones about again; 0 is any.
func Probability(share float64, seed uint64) Effect {
	return func(r *fault.Rule) { r.Probability, r.Seed = share, seed }
}

// Fault is one that Fail has put in force.
type Fault struct {
	ID   string // which the journal has of requests that it struck
	Rule fault.Rule

	emulator *Emulator
	hits     atomic.Int64 // when it was removed
}

// Fail makes requests of a route go wrong until the fault is removed, used up or reset: "mds.token", "iamcredentials.*",
// or "*" for all.
func (e *Emulator) Fail(route string, effects ...Effect) *Fault {
	e.t.Helper()
	rule := fault.Rule{Route: route}
	for _, effect := range effects {
		effect(&rule)
	}
	added, err := e.server.Faults.Add(rule)
	if err != nil {
		e.t.Fatalf("servertest: fail %q: %v", route, err)
	}
	return e.fault(added)
}

func (e *Emulator) fault(of fault.Fault) *Fault { return &Fault{ID: of.ID, Rule: of.Rule, emulator: e} }

// Faults are those in force, in the order in which they were made.
func (e *Emulator) Faults() []*Fault {
	var list []*Fault
	for _, one := range e.server.Faults.List() {
		list = append(list, e.fault(one))
	}
	return list
}

// ClearFaults takes all faults away.
func (e *Emulator) ClearFaults() { e.server.Faults.Clear() }

// Hits is how many requests it has struck. One that a reset took away has struck nobody.
func (f *Fault) Hits() int {
	if found, inForce := f.emulator.server.Faults.Find(f.ID); inForce {
		return found.Hits
	}
	return int(f.hits.Load())
}

// Remove takes it away.
func (f *Fault) Remove() {
	f.hits.Store(int64(f.Hits()))
	f.emulator.server.Faults.Remove(f.ID)
}
