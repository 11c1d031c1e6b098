package mds

import (
	"context"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/order"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/workloads"
	"gcp-metadata-emulator/server/world"
)

// Server answers metadata requests. It is safe for concurrent use.
type Server struct {
	worlds  *store.Store[*world.World]
	issuer  *token.Issuer
	clock   *clock.Clock
	chooser workloads.Chooser
	callers *guard.Guard

	profiles map[fixtures.Profile]*profile
	trees    atomic.Pointer[trees]
	renewing sync.Mutex                    // held while trees are replaced
	parked   sync.Map                      // a set of *parking
	arrival  atomic.Pointer[chan struct{}] // closed by the next request that waits; nil if nothing listens
	settling sync.Mutex                    // held by Settle
	limits   sync.Map                      // of *rate.Limiter, by the name of an instance
}

// Waiter is a request that waits for a change.
type Waiter struct {
	Instance string
	Path     string // includes the query
	Since    time.Time
}

// Waiters returns the requests that wait for a change, longest wait first.
func (s *Server) Waiters() []Waiter {
	var list []Waiter
	s.parked.Range(func(waiter, _ any) bool {
		list = append(list, waiter.(*parking).Waiter)
		return true
	})
	order.Sort(list, func(a, b Waiter) int { return a.Since.Compare(b.Since) })
	return list
}

// AwaitWaiter waits until is holds for a waiting request. If ctx ends first, it returns the cause.
func (s *Server) AwaitWaiter(ctx context.Context, is func(Waiter) bool) error {
	for {
		arrival := s.nextArrival() // before the check, to miss no request
		if slices.ContainsFunc(s.Waiters(), is) {
			return nil
		}
		select {
		case <-arrival:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// nextArrival returns a channel that is closed when the next request starts to wait.
func (s *Server) nextArrival() <-chan struct{} {
	next := make(chan struct{})
	for {
		if asked := s.arrival.Load(); asked != nil {
			return *asked
		}
		if s.arrival.CompareAndSwap(nil, &next) {
			return next
		}
	}
}

// Settle returns when every waiting request has seen the current world or has stopped waiting.
// The next change may then undo the last without any request missing it. Settle depends on no
// client, because a woken request needs nothing from its client.
func (s *Server) Settle() {
	s.settling.Lock()
	defer s.settling.Unlock()
	revision := s.worlds.Load().Revision
	s.parked.Range(func(waiter, _ any) bool {
		waiter.(*parking).awaitLook(revision)
		return true
	})
}

// New returns a metadata server for every instance of the current world. callers decides whether a pod
// may have tokens for the account of its annotation.
func New(callers *guard.Guard, emulator *clock.Clock, chooser workloads.Chooser) *Server {
	return &Server{worlds: callers.Worlds, issuer: callers.Issuer, clock: emulator, chooser: chooser, callers: callers, profiles: profiles()}
}

// view is the world at the moment of a request, with the instance that the request is for.
type view struct {
	store.Snapshot[*world.World]
	workloads.Choice

	profile *profile // of a VM if there is no instance, so that the caller can still write an error
}

// look returns the current world and the instance that r is for.
func (s *Server) look(r *http.Request) view {
	snapshot := s.worlds.Load()
	v := view{Snapshot: snapshot, Choice: s.choose(r, snapshot.State), profile: s.profiles[fixtures.GCE]}
	if v.Instance != nil {
		v.profile = s.profiles[v.Instance.Profile]
	}
	return v
}

// Ping answers "/", which clients request to detect Google Cloud. On a VM this path does not
// need the flavor header.
func (s *Server) Ping(r *http.Request) (wire.Response, error) {
	v := s.look(r)
	if v.Instance == nil {
		return s.without(r, v.Refusal), nil
	}
	if refusal, refused := v.profile.refuseUnseen(r); refused {
		return refusal, nil
	}
	if v.profile.pingNeedsFlavor && !v.profile.hasFlavor(r) {
		return v.profile.noFlavor(r), nil
	}
	if !isRead(r) {
		return v.profile.wrongMethod(r), nil
	}
	listing := s.tree(v.State, v.Instance).root.listing()
	return v.profile.answer(listing.ContentType, listing.Body), nil
}

// Unknown answers a path without a route as the metadata server does.
func (s *Server) Unknown(r *http.Request) (wire.Response, error) {
	v := s.look(r)
	if v.Refusal != nil {
		return s.without(r, v.Refusal), nil
	}
	if !isRead(r) {
		return v.profile.wrongMethod(r), nil
	}
	return v.profile.unknownPath(r), nil
}

// Answer handles a request below /computeMetadata, as it was found. It looks again only if the
// world has changed since.
func (s *Server) Answer(r *http.Request, found Found) (wire.Response, error) {
	if s.worlds.Load().Revision != found.Revision {
		found = s.Find(r)
	}
	if found.tree == nil {
		return s.without(r, found.refusal), nil
	}
	p := found.tree.profile
	if refusal, refused := p.refuseUnseen(r); refused {
		return refusal, nil
	}
	if !p.hasFlavor(r) {
		return p.noFlavor(r), nil
	}
	if found.guest {
		return s.guest(r, found)
	}
	if !isRead(r) && !found.binds(r) {
		return p.wrongMethod(r), nil
	}
	if found.login != noLogin {
		return s.osLogin(r, found)
	}
	return s.read(r, found)
}

// without answers a request that has no instance, because of a refusal or because the instance has been
// removed.
func (s *Server) without(r *http.Request, refusal *journal.Refusal) wire.Response {
	p := s.profiles[fixtures.GCE]
	if refusal == nil {
		return p.removed(r)
	}
	return p.unknownCaller(r, refusal)
}

// gone answers a request that has waited on an instance, if the instance is no longer the request's.
func (s *Server) gone(r *http.Request, found *Found) wire.Response {
	name := found.tree.instance.Name
	if _, exists := s.worlds.Load().State.Instance(name); !exists {
		return found.tree.profile.removed(r)
	}
	return found.tree.profile.moved(r, name)
}

// read answers with the entry at the request's path. If the client waits for a change, the answer comes
// later.
func (s *Server) read(r *http.Request, found Found) (wire.Response, error) {
	var q query
	q.parse(r.URL.RawQuery)
	answer, err := s.render(r, &found, &q)
	if err != nil || !q.waitsFor(answer.etag) {
		return found.tree.profile.complete(answer), err
	}
	if err := wire.DrainBody(r); err != nil { // with unread bytes, net/http cannot detect that the client has gone
		return wire.Response{}, err
	}
	return s.park(r, found, q).wait(), nil
}

// parking is the state of a waiting request.
type parking struct {
	Waiter

	server *Server
	found  Found
	query  query
	over   <-chan struct{}               // closed at the timeout; nil if there is none
	cancel func()                        // stops the timeout
	seen   atomic.Uint64                 // the latest revision of the world that the request has seen
	look   atomic.Pointer[chan struct{}] // closed after the next look; nil if nothing listens
}

// park begins to wait. It copies its arguments, so that other requests keep them on the stack.
func (s *Server) park(r *http.Request, found Found, q query) *parking {
	p := &parking{
		Waiter: Waiter{Instance: found.tree.instance.Name, Path: wire.Target(r), Since: s.clock.Now()},
		server: s, found: found, query: q,
	}
	p.over, p.cancel = q.end(s.clock)
	s.parked.Store(p, nil)
	if asked := s.arrival.Swap(nil); asked != nil {
		close(*asked)
	}
	return p
}

// wait returns a response with its answer after the next change.
func (p *parking) wait() wire.Response {
	p.looked(p.found.Revision)
	return wire.Response{Later: &wire.Later{Await: p.await, Then: p.answer}}
}

// await waits for the next change. Thousands of requests may wait here.
func (p *parking) await(ctx context.Context) {
	select {
	case <-p.found.Changed:
		return
	case <-p.over:
	case <-ctx.Done(): // the client has gone, or the server stops
	}
	p.query.wait = false // answer with the present entry
}

// answer looks at the entry again.
func (p *parking) answer(r *http.Request) (response wire.Response, err error) {
	defer func() {
		if response.Later == nil {
			p.leave()
		}
	}()
	if !p.server.renew(r, &p.found) {
		return p.server.gone(r, &p.found), nil
	}
	entry, err := p.server.render(r, &p.found, &p.query)
	if err == nil && p.query.waitsFor(entry.etag) {
		return p.wait(), nil
	}
	response = p.found.tree.profile.complete(entry)
	response.Abandoned = wire.IsGone(r.Context())
	return response, err
}

func (p *parking) leave() {
	p.cancel()
	p.server.parked.Delete(p)
	p.looked(math.MaxUint64) // so that Settle does not wait for it
}

func (p *parking) looked(revision uint64) {
	p.seen.Store(revision)
	if asked := p.look.Swap(nil); asked != nil {
		close(*asked)
	}
}

// awaitLook returns when the request has seen the given revision or a later one, or has left.
func (p *parking) awaitLook(revision uint64) {
	for p.seen.Load() < revision {
		next := make(chan struct{})
		p.look.Store(&next)
		if p.seen.Load() < revision {
			<-next
		}
	}
}

// render returns the present answer. Its ETag is empty if waiting is impossible.
func (s *Server) render(r *http.Request, found *Found, q *query) (*rendering, error) {
	if found.node != nil && found.node.isContent(found.slash, q) {
		return found.node.render(q), nil
	}
	return s.exception(r, found, q)
}

// exception answers a request without content: an endpoint, a directory without listing, or an
// unknown path.
func (s *Server) exception(r *http.Request, found *Found, q *query) (*rendering, error) {
	var answer rendering
	var err error
	switch {
	case found.node == nil:
		answer.Response = found.tree.missing(r)
	case found.node.isEndpoint():
		answer.Response, err = s.endpoint(r, found, q)
	case q.wait || q.form != defaultForm:
		answer.Response = found.tree.profile.badQuery(r, "does not fit the name of a directory without its slash")
	default:
		answer.Response = found.tree.profile.redirect(r)
	}
	return &answer, err
}

// missing answers a request for an unknown entry. The entries about workload certificates would
// exist if these were configured.
func (t *tree) missing(r *http.Request) wire.Response {
	path := r.URL.EscapedPath()
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/") // repeated slashes count as one
	}
	name, ok := strings.CutPrefix(path, "/computeMetadata/v1/instance/")
	configurable := []string{
		"gce-workload-certificates/config-status", "gce-workload-certificates/trust-anchors", "gce-workload-certificates/workload-identities",
		"workload-certificates-config-status", "workload-identities", "workload-trusted-root-certs",
	}
	if ok && t.instance.Profile == fixtures.GCE && slices.Contains(configurable, name) {
		return because(t.profile.refuse(r, http.StatusPreconditionFailed, "Workload certificates are not configured."),
			reason.Disabled, "the instance %q has no workload certificates", t.instance.Name)
	}
	return t.unknownEntry(r)
}

// hasFlavor reports whether a request has the flavor header, which no browser or proxy sends by
// accident. The older header is deprecated, and still accepted on VMs.
func (p *profile) hasFlavor(r *http.Request) bool {
	if values := r.Header["Metadata-Flavor"]; len(values) > 0 && values[0] == "Google" {
		return true
	}
	return p.oldFlavor && strings.EqualFold(r.Header.Get("X-Google-Metadata-Request"), "true")
}

func isRead(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead
}

// redirect sends a client from a directory's name to the same path with a slash.
func (p *profile) redirect(r *http.Request) wire.Response {
	path := r.URL.EscapedPath() + "/"
	location := path
	if r.Host != "" {
		location = wire.BaseURL(r) + path
	}
	if r.URL.RawQuery != "" {
		location += "?" + r.URL.RawQuery
	}
	response := p.answer("text/html", path+"\n", wire.Field{Name: "Location", Value: location})
	response.Status = http.StatusMovedPermanently
	return response
}
