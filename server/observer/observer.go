// Package observer wraps the operations of Google's APIs: it applies faults to them, records each
// exchange in the journal, counts it, and sets the date of the answer by the emulator's clock.
//
// It owns the order of these steps, over HTTP and in gRPC. It does not own the rules of faults
// (package fault), their effects (package inject) or the journal, and does not know the operations.
package observer

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/fault"
	"gcp-metadata-emulator/server/fault/inject"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/lru"
	"gcp-metadata-emulator/server/metrics"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/workloads"
)

// Observer observes operations. It is safe for concurrent use.
type Observer struct {
	clock   *clock.Clock
	faults  *fault.Set
	journal *journal.Journal
	counts  *metrics.Requests
	logger  *slog.Logger
	warned  *lru.Cache[string, struct{}]
	issued  atomic.Pointer[issued]
}

// issued is the last answer with a JSON Web Token. The next answer is often the same, from a cache.
type issued struct {
	body   string
	claims journal.Claims
}

// Config holds the parts of an Observer, all of which are necessary.
type Config struct {
	Clock   *clock.Clock
	Faults  *fault.Set
	Journal *journal.Journal
	Counts  *metrics.Requests
	Logger  *slog.Logger
}

// New returns an Observer that lets some faults strike, and writes to a journal, to counts and to a log.
func New(c Config) *Observer {
	return &Observer{
		clock: c.Clock, faults: c.Faults, journal: c.Journal, counts: c.Counts, logger: c.Logger, warned: lru.New[string, struct{}](crowd),
	}
}

// Operation describes an operation to an Observer.
//
// If a surface serves several operations under one path, it looks up a request before any fault strikes it.
// Found is the result of this look-up, and the answer and the subject use it too. Found is passed by value,
// so that the look-up allocates nothing.
type Operation[Found any] struct {
	Find    func(*http.Request) Found
	Name    func(Found) string
	Subject func(*http.Request, Found) wire.Subject // nil: requests name no account and no audience
	Dialect wire.Dialect
	Answer  func(*http.Request, Found) wire.Response
	Issues  func(Found) bool // reports whether the answer has a JSON Web Token; nil: it never has
	Guarded bool             // rules may refuse requests, and say why in the place that journal.Watched gives them
}

// Named returns the operation of a route: its name needs no look-up.
func Named(name string, subject func(*http.Request) wire.Subject, dialect wire.Dialect, answer wire.Answer) Operation[struct{}] {
	op := Operation[struct{}]{
		Find:    func(*http.Request) struct{} { return struct{}{} },
		Name:    func(struct{}) string { return name },
		Dialect: dialect,
		Answer:  func(r *http.Request, _ struct{}) wire.Response { return answer(r) },
	}
	if subject != nil {
		op.Subject = func(r *http.Request, _ struct{}) wire.Subject { return subject(r) }
	}
	return op
}

// Observe returns the answer of an operation, observed. It records an exchange before it sends the answer,
// so a client with the answer finds the exchange in the journal.
//
// If an answer comes later, Observe records it then.
func Observe[Found any](o *Observer, op Operation[Found]) wire.Answer {
	return func(r *http.Request) wire.Response {
		var seen sighting
		seen.at, seen.begun = o.clock.Both()
		found := op.Find(r)
		seen.route = op.Name(found)
		seen.issues = op.Issues != nil && op.Issues(found)
		if op.Subject != nil && r.Body != nil && r.Body != http.NoBody {
			seen.body = wire.Rereadable(r)
		}
		if op.Guarded {
			r = seen.watched(r)
		}
		var response wire.Response
		if o.faults.None() {
			response = op.Answer(r, found)
		} else {
			response = underFaults(o, op, r, found, &seen)
		}
		if response.Later != nil {
			return response.Finally(later(o, &op, found, seen))
		}
		settle(op, r, found, &seen, &response)
		o.note(r, &seen, &response)
		if seen.hungUp {
			panic(http.ErrAbortHandler) // by which net/http hangs up
		}
		o.date(&response)
		return response
	}
}

// later returns a function that observes an answer when it is known. If this were not a function of its
// own, its arguments would be copied to the heap for every answer.
func later[Found any](o *Observer, op *Operation[Found], found Found, seen sighting) func(*http.Request, *wire.Response) {
	return func(r *http.Request, answer *wire.Response) {
		settle(*op, r, found, &seen, answer)
		o.note(r, &seen, answer)
		o.date(answer)
	}
}

// sighting holds the known facts about a request.
type sighting struct {
	at, begun time.Time // by the emulator's clock and by the machine's
	route     string
	fault     string // the ID of the fault that the request met
	issues    bool   // the answer has a JSON Web Token
	hungUp    bool   // the connection ends without an answer
	refusal   *journal.Refusal

	// The account and the audience of the request. They are found once: before the answer if a fault
	// needs them, and otherwise afterwards, from the part of the body that has been read.
	about wire.Subject
	known bool
	body  *wire.Body // nil if the request has none
}

// watched returns a request with a place for the reason of a refusal.
func (s *sighting) watched(r *http.Request) *http.Request {
	var ctx context.Context
	ctx, s.refusal = journal.Watched(r.Context())
	return r.WithContext(ctx)
}

// underFaults answers a request that may meet a fault.
func underFaults[Found any](o *Observer, op Operation[Found], r *http.Request, found Found, seen *sighting) wire.Response {
	asked := fault.Request{Route: seen.route, Path: r.URL.Path, Subject: func() (string, string) {
		if !seen.known && op.Subject != nil {
			seen.about, seen.known = subject(op, r, found, seen), true
		}
		return seen.about.Account, seen.about.Audience
	}}
	if r.Method == http.MethodHead {
		asked.Answer = fault.WithoutBody
	}
	met, isMet := o.faults.Decide(asked)
	if !isMet {
		return op.Answer(r, found)
	}
	outcome := inject.Answer(r, met, op.Dialect, func(r *http.Request) wire.Response { return op.Answer(r, found).Now(r) })
	if !outcome.Struck {
		o.faults.Missed(met.ID)
		return outcome.Response
	}
	o.counts.ObserveFault(seen.route)
	seen.fault, seen.hungUp = met.ID, outcome.HungUp
	return outcome.Response
}

// settle finds the subject of a request that has been answered. The handler may have found it.
func settle[Found any](op Operation[Found], r *http.Request, found Found, seen *sighting, response *wire.Response) {
	switch {
	case response.About != nil:
		seen.about = *response.About
	case !seen.known && op.Subject != nil:
		if seen.body != nil {
			seen.body.Remembered()
		}
		seen.about = subject(op, r, found, seen)
	}
}

// subject finds the account and the audience of a request. It copies texts from the body, so that
// the journal does not keep the whole body.
func subject[Found any](op Operation[Found], r *http.Request, found Found, seen *sighting) wire.Subject {
	about := op.Subject(r, found)
	if seen.body != nil {
		seen.body.Rewind()
		about.Account, about.Audience = strings.Clone(about.Account), strings.Clone(about.Audience)
	}
	return about
}

// note records an exchange.
func (o *Observer) note(r *http.Request, seen *sighting, response *wire.Response) {
	e := exchangeOf(r, seen, response)
	if seen.issues {
		e.Got = o.claimsIn(response.Body)
	}
	o.record(r.Context(), r.Host, &e, time.Since(seen.begun))
}

// claimsIn returns the claims of the token in the body of an answer.
func (o *Observer) claimsIn(body string) journal.Claims {
	if last := o.issued.Load(); last != nil && last.body == body { // the same text is compared at no cost
		return last.claims
	}
	claims := journal.ClaimsIn(body)
	o.issued.Store(&issued{body, claims})
	return claims
}

// exchangeOf describes a request and its answer.
func exchangeOf(r *http.Request, seen *sighting, response *wire.Response) journal.Exchange {
	e := journal.Exchange{
		Time:      seen.at,
		Method:    r.Method,
		Path:      wire.Target(r),
		Route:     seen.route,
		Instance:  seen.about.Instance,
		ChosenBy:  seen.about.ChosenBy,
		Account:   seen.about.Account,
		Audience:  seen.about.Audience,
		UserAgent: userAgent(r),
		Fault:     seen.fault,
	}
	if rule := workloads.Rule(e.ChosenBy); rule == workloads.ByAddress || rule == workloads.ByPod {
		e.Peer = workloads.Peer(r.RemoteAddr).String()
	}
	if e.Explain(seen.refusal); e.Reason == "" {
		e.Explain(response.Refusal)
	}
	if seen.refusal != nil {
		e.Carried = carried(r.Header)
	}
	if !seen.hungUp && !response.Abandoned {
		e.Status = statusOf(response)
		if r.Method != http.MethodHead {
			e.Bytes = len(response.Body)
		}
	}
	return e
}

func statusOf(response *wire.Response) int {
	if response.Status == 0 {
		return http.StatusOK
	}
	return response.Status
}

func userAgent(r *http.Request) string {
	if values := r.Header["User-Agent"]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// carried returns the claims of the token with which a request comes.
func carried(header http.Header) journal.Claims {
	for _, name := range []string{"X-Serverless-Authorization", "Proxy-Authorization", "Authorization"} {
		for _, value := range header[name] {
			if claims := journal.ClaimsIn(value); claims != "" {
				return claims
			}
		}
	}
	return ""
}
