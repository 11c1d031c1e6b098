package servertest

import (
	"encoding/json"
	"sync/atomic"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/fault"
	"gcp-metadata-emulator/server/token"
)

// Effect is an effect of a fault, or a condition on the requests that it affects. Package fault
// explains each.
type Effect func(*fault.Rule)

// Status sets the status of the answer. Without a [Body], the body is that of Google's servers.
func Status(code int) Effect { return func(r *fault.Rule) { r.Status = code } }

// Body sets the body of the answer: a string as it is, any other value as JSON.
func Body(value any) Effect {
	return func(r *fault.Rule) {
		encoded, err := json.Marshal(value)
		if err != nil {
			panic(err) // the test's own value
		}
		r.Body = encoded
	}
}

// Delay delays the answer, in real time.
func Delay(by time.Duration) Effect { return func(r *fault.Rule) { r.Delay = fixtures.Duration(by) } }

// HangUp closes the connection: [fault.BeforeAny] byte of the answer, or [fault.DuringBody].
func HangUp(at fault.HangUp) Effect { return func(r *fault.Rule) { r.HangUp = at } }

// Defect puts a deliberate error into the issued token, such as [token.Expired].
func Defect(defect token.Defect) Effect { return func(r *fault.Rule) { r.Defect = string(defect) } }

// Malformed omits the second half of the body.
func Malformed() Effect { return func(r *fault.Rule) { r.Malformed = true } }

// Redirect answers with the status of a redirect, such as 307, that leads to a URL.
func Redirect(status int, location string) Effect {
	return func(r *fault.Rule) { r.Status, r.Location = status, location }
}

// WithoutHeader omits a header field, such as "Metadata-Flavor".
func WithoutHeader(name string) Effect { return func(r *fault.Rule) { r.WithoutHeader = name } }

// WithHeader sets a header field, such as "Metadata-Flavor".
func WithHeader(name, value string) Effect {
	return func(r *fault.Rule) {
		if r.WithHeader == nil {
			r.WithHeader = map[string]string{}
		}
		r.WithHeader[name] = value
	}
}

// Outage makes a metadata server behave as at [fault.Boot] or during a [fault.LiveMigration].
func Outage(of fault.Outage) Effect { return func(r *fault.Rule) { r.Outage = of } }

// Account limits a fault to requests about an account.
func Account(email string) Effect { return func(r *fault.Rule) { r.Match.Account = email } }

// Audience limits a fault to requests for ID tokens with an audience.
func Audience(audience string) Effect { return func(r *fault.Rule) { r.Match.Audience = audience } }

// Path limits a fault to requests for a path.
func Path(path string) Effect { return func(r *fault.Rule) { r.Match.Path = path } }

// After spares the first n matching requests.
func After(n int) Effect { return func(r *fault.Rule) { r.After = n } }

// Every strikes only every nth matching request.
func Every(n int) Effect { return func(r *fault.Rule) { r.Every = n } }

// Times strikes at most n requests.
func Times(n int) Effect { return func(r *fault.Rule) { r.Times = n } }

// For limits a fault to the next d of emulator time.
func For(d time.Duration) Effect { return func(r *fault.Rule) { r.For = fixtures.Duration(d) } }

// Probability strikes a share of the requests, from 0 to 1. The same seed strikes the same
// requests again; 0 means a random seed.
func Probability(share float64, seed uint64) Effect {
	return func(r *fault.Rule) { r.Probability, r.Seed = share, seed }
}

// Fault is an active fault.
type Fault struct {
	ID   string // the journal records it with each request that the fault struck
	Rule fault.Rule

	emulator *Emulator
	hits     atomic.Int64 // the value when the fault was removed
}

// Fail activates a fault for a route, such as "mds.token" or "iamcredentials.*"; "*" means all
// routes. The fault stays active until it is removed, used up or reset.
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

// Faults returns the active faults, in the order in which they were added.
func (e *Emulator) Faults() []*Fault {
	var list []*Fault
	for _, one := range e.server.Faults.List() {
		list = append(list, e.fault(one))
	}
	return list
}

// ClearFaults removes all faults.
func (e *Emulator) ClearFaults() { _ = e.server.Faults.Clear() } // fails only with replicas

// Hits returns the number of requests that the fault struck. It is 0 after a reset.
func (f *Fault) Hits() int {
	if found, inForce := f.emulator.server.Faults.Find(f.ID); inForce {
		return found.Hits
	}
	return int(f.hits.Load())
}

// Remove removes the fault. Hits keeps its value.
func (f *Fault) Remove() {
	f.hits.Store(int64(f.Hits()))
	_, _ = f.emulator.server.Faults.Remove(f.ID) // fails only with replicas
}
