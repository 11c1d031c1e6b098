// Package door is the reverse proxy in front of a service: it asks package ingress who may call,
// answers refusals as Google's front end does, and forwards every other request to the service's
// upstream with the header fields that a container sees in the cloud
// (https://cloud.google.com/run/docs/container-contract).
//
// It does not decide who may call, and does not write the journal: Config.Observe does.
package door

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/ingress"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world"
)

// Config is what doors are made of. Worlds, Issuer, Clock and Logger are needed.
type Config struct {
	Worlds *store.Store[*world.World]
	Issuer *token.Issuer
	Clock  *clock.Clock
	Logger *slog.Logger

	// Explain puts the reason of a refusal into the header X-Emulator-Reason.
	Explain bool
	// IsInternal reports whether a workload of the project has sent a request; nil: none has.
	IsInternal func(*http.Request) bool
	// Observe is told about each request once its answer is known, before it is sent; nil: nobody is.
	Observe func(*http.Request, Passage)
	// Patience is for how long a request waits for an upstream that refuses connections, as it does
	// until it has started; zero: DefaultPatience; negative: not at all.
	Patience time.Duration
}

// DefaultPatience is for how long a request waits for an upstream to start.
const DefaultPatience = 10 * time.Second

// Passage is what became of a request at a door.
type Passage struct {
	Service string
	Verdict ingress.Verdict
	Status  int    // 0: the client has gone before there was an answer
	Bytes   int64  // of the answer's body; -1: not known beforehand
	Failure string // why the upstream has not answered; empty: it has

	Time, Begun time.Time // of the request, by the emulator's clock and by the machine's
}

// Doors are the doors of an emulator. They share connections to upstreams.
type Doors struct {
	config    Config
	upstreams *upstreams
}

// New returns the doors of an emulator.
func New(config Config) *Doors {
	if config.Patience == 0 {
		config.Patience = DefaultPatience
	}
	d := &Doors{config: config}
	d.upstreams = newUpstreams(config.Logger, config.Patience, d.receive, d.fail)
	return d
}

// Close closes the connections to upstreams that no request uses.
func (d *Doors) Close() { d.upstreams.close() }

// To returns the door to the service with a name. The addresses are base URLs under which callers
// reach it, besides the service's own URLs.
func (d *Doors) To(service string, addresses ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.serve(w, r, visit{service: service, addresses: addresses, enter: d.forward})
	})
}

// Before returns the door to a service that a handler in this process is.
func (d *Doors) Before(service string, next http.Handler, addresses ...string) http.Handler {
	enter := func(w http.ResponseWriter, r *http.Request, p *passage) {
		inner := p.request(r)
		inner.Header = r.Header.Clone()
		p.rewrite(inner.Header, r)
		next.ServeHTTP(&watched{ResponseWriter: w, doors: d, passage: p, request: r}, inner)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.serve(w, r, visit{service: service, addresses: addresses, enter: enter})
	})
}

// visit is where a request arrives and where it goes if it is let in.
type visit struct {
	service   string
	addresses []string
	enter     func(http.ResponseWriter, *http.Request, *passage)
}

// passage is a request that has been let in.
type passage struct {
	Passage

	service *world.Service
	trace   trace
}

// request is a request whose context knows the passage.
func (p *passage) request(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), passageKey{}, p))
}

type passageKey struct{}

func passageOf(r *http.Request) *passage {
	p, _ := r.Context().Value(passageKey{}).(*passage)
	return p
}

var errTimeout = errors.New("the request timeout has passed")

// grace is how much longer than a request a read or a write on its connection may last.
const grace = 5 * time.Second

func (d *Doors) serve(w http.ResponseWriter, r *http.Request, at visit) {
	p := &passage{Passage: Passage{Service: at.service, Bytes: -1}}
	p.Time, p.Begun = d.config.Clock.Both()
	if !d.config.Clock.FollowsMachine() {
		w.Header()["Date"] = []string{p.Time.UTC().Format(http.TimeFormat)}
	}
	current := d.config.Worlds.Load().State
	service, exists := current.Service(at.service)
	if !exists {
		d.refuse(w, r, p, ingress.Gone(at.service))
		return
	}
	p.service = service
	p.Verdict = ingress.Decide(facts(r, d.config.IsInternal), ingress.Door{
		World: current, Service: service, Addresses: at.addresses, Now: p.Time,
		Read: ingress.Reader(r.Context(), d.config.Issuer, current),
	})
	if p.Verdict.Refusal != nil {
		d.refuse(w, r, p, p.Verdict.Refusal)
		return
	}
	control := http.NewResponseController(w) // a server's own deadlines are for short requests
	deadline := p.Begun.Add(service.Timeout + grace)
	_, _ = control.SetReadDeadline(deadline), control.SetWriteDeadline(deadline)
	ctx, cancel := context.WithTimeoutCause(r.Context(), service.Timeout, errTimeout)
	defer cancel()
	if r.Body != http.NoBody { // the rest of a body is worth nothing then, and whoever reads it would wait for the client
		defer context.AfterFunc(ctx, func() {
			if errors.Is(context.Cause(ctx), errTimeout) {
				_ = control.SetReadDeadline(p.Begun)
			}
		})()
	}
	p.trace = traceOf(r.Header)
	at.enter(w, r.WithContext(ctx), p)
}

// facts are what the decision depends on in a request.
func facts(r *http.Request, isInternal func(*http.Request) bool) ingress.Request {
	return ingress.Request{
		Path:          pathOf(r),
		Authorization: r.Header[ingress.Authorization],
		Serverless:    r.Header[ingress.Serverless],
		IsInternal:    isInternal != nil && isInternal(r),
	}
}

// observe tells about a passage once.
func (d *Doors) observe(r *http.Request, p *passage) {
	if d.config.Observe != nil {
		d.config.Observe(r, p.Passage)
	}
}
