// Package door is the reverse proxy in front of a service: it asks package ingress or package iap who may
// call, answers refusals as Google's front end does, and forwards every other request to the service's
// upstream with the header fields that a container sees in the cloud
// (https://cloud.google.com/run/docs/container-contract).
//
// It does not decide about callers. It does not write the journal: Config.Observe does.
package door

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"time"

	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/iap"
	"gcp-metadata-emulator/server/ingress"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world"
)

// Config holds the parts of the emulator that doors use. Worlds, Issuer, Clock and Logger are required.
type Config struct {
	Worlds *store.Store[*world.World]
	Issuer *token.Issuer
	Clock  *clock.Clock
	Logger *slog.Logger

	// Explain puts the reason of a refusal into the header X-Emulator-Reason.
	Explain bool
	// IsInternal reports whether a workload of the project sent a request. If it is nil, none did. It may
	// wait for news of a pod, so only requests to services with internal traffic ask it.
	IsInternal func(*http.Request) bool
	// Observe is called once for each request, when its answer is known and before it is sent. It may
	// be nil.
	Observe func(*http.Request, Passage)
	// SignIn lets people sign in to services behind Identity-Aware Proxy. Without it only programs get in.
	SignIn SignIn
	// Patience limits how long a request waits for an upstream that still refuses connections. Zero
	// means defaultPatience; if it is negative, requests do not wait.
	Patience time.Duration
}

// defaultPatience limits how long a request waits for an upstream to start.
const defaultPatience = 10 * time.Second

// Passage describes a request to a door and its outcome.
type Passage struct {
	Service string
	Verdict ingress.Verdict
	Status  int    // 0 if the client left before there was an answer
	Bytes   int64  // of the answer's body; -1 if the length is not known beforehand
	Failure string // why the upstream has not answered; empty if it has

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
		config.Patience = defaultPatience
	}
	d := &Doors{config: config}
	d.upstreams = newUpstreams(config.Logger, config.Patience, hooks{
		rewrite: func(r *httputil.ProxyRequest) { passageOf(r.In).outgoing(r) },
		receive: d.receive,
		fail:    d.fail,
	})
	return d
}

// Close closes the connections to upstreams that no request uses.
func (d *Doors) Close() { d.upstreams.close() }

// To returns the door to the named service. The addresses are base URLs of the door, besides the
// service's own URLs.
func (d *Doors) To(service string, addresses ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.serve(w, r, visit{service: service, addresses: addresses, enter: d.forward})
	})
}

// Before returns the door to the named service. A handler in this process answers the service's
// requests.
func (d *Doors) Before(service string, next http.Handler, addresses ...string) http.Handler {
	enter := func(w http.ResponseWriter, r *http.Request, p *passage) {
		inner := p.request(r)
		inner.Header = r.Header.Clone()
		p.rewrite(inner.Header, r)
		dropForgedTrailers(inner)
		next.ServeHTTP(&watched{ResponseWriter: w, doors: d, passage: p, request: r}, inner)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.serve(w, r, visit{service: service, addresses: addresses, enter: enter})
	})
}

// Nowhere returns the handler of requests for a service's name, if no service has this name.
func (d *Doors) Nowhere() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := &passage{Passage: Passage{Bytes: -1}}
		p.Time, p.Begun = d.config.Clock.Both()
		d.refuse(w, r, p, ingress.Nowhere(r.Host, r.URL.EscapedPath()))
	})
}

// visit is the door at which a request arrives, and the way on for admitted requests.
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

// request returns the request with the passage in its context.
func (p *passage) request(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), passageKey{}, p))
}

type passageKey struct{}

func passageOf(r *http.Request) *passage {
	p, _ := r.Context().Value(passageKey{}).(*passage)
	return p
}

var errTimeout = errors.New("the request timeout has passed")

// grace is the time after the request timeout until reads and writes on the connection fail.
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
	if r.Method == http.MethodConnect {
		d.refuse(w, r, p, ingress.Tunnel(at.service))
		return
	}
	p.service = service
	gate := d.at(r.Context(), current, service, p.Time, at.addresses)
	if own := d.ownAnswer(r, gate); own != nil {
		own(&watched{ResponseWriter: w, doors: d, passage: p, request: r})
		return
	}
	p.Verdict = d.decide(r, gate)
	if p.Verdict.Refusal != nil {
		d.refuse(w, r, p, p.Verdict.Refusal)
		return
	}
	control := http.NewResponseController(w) // a server's own deadlines are for short requests
	deadline := p.Begun.Add(service.Timeout + grace)
	_, _ = control.SetReadDeadline(deadline), control.SetWriteDeadline(deadline)
	ctx, cancel := context.WithTimeoutCause(r.Context(), service.Timeout, errTimeout)
	defer cancel()
	if r.Body != http.NoBody { // otherwise the goroutine that reads the body would wait for the client
		defer context.AfterFunc(ctx, func() {
			if errors.Is(context.Cause(ctx), errTimeout) {
				_ = control.SetReadDeadline(p.Begun)
			}
		})()
	}
	p.trace = traceOf(r.Header)
	at.enter(w, r.WithContext(ctx), p)
}

// at returns the state on which decisions at the door to a service depend.
func (d *Doors) at(ctx context.Context, w *world.World, service *world.Service, now time.Time, addresses []string) ingress.Door {
	return ingress.Door{
		World: w, Service: service, Addresses: addresses, Now: now, Read: ingress.Reader(ctx, d.config.Issuer, w),
	}
}

// Judge returns the decision about a request for / with this token, as if a workload of the project
// had sent it. The addresses are those of To.
func (d *Doors) Judge(ctx context.Context, service, token string, addresses ...string) ingress.Verdict {
	current := d.config.Worlds.Load().State
	known, exists := current.Service(service)
	if !exists {
		return ingress.Verdict{Refusal: ingress.Gone(service)}
	}
	request := ingress.Request{Path: "/", Authorization: []string{"Bearer " + token}, IsInternal: true}
	at := d.at(ctx, current, known, d.config.Clock.Now(), addresses)
	if iap.Guards(at.Service) {
		return iap.Decide(iap.Request{Request: request}, at).Verdict
	}
	return ingress.Decide(request, at)
}

// facts returns the parts of a request that the decision depends on. Only a service with internal traffic
// depends on the sender, and the answer may take a while.
func (d *Doors) facts(r *http.Request, service *world.Service) ingress.Request {
	return ingress.Request{
		Path:          pathOf(r),
		Authorization: r.Header[ingress.Authorization],
		Serverless:    r.Header[ingress.Serverless],
		IsInternal:    service.Internal && d.config.IsInternal != nil && d.config.IsInternal(r),
	}
}

// observe calls Config.Observe.
func (d *Doors) observe(r *http.Request, p *passage) {
	if d.config.Observe != nil {
		d.config.Observe(r, p.Passage)
	}
}
