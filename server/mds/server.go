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
	"gcp-metadata-emulator/server/errorpage"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// Server answers metadata requests. It is safe for concurrent use.
type Server struct {
	worlds *store.Store[*world.World]
	issuer *token.Issuer
	clock  *clock.Clock

	profiles map[fixtures.Profile]*profile
	trees    atomic.Pointer[trees]
	renewing sync.Mutex                    // held while trees are replaced
	parked   sync.Map                      // the keys are of *parking
	arrival  atomic.Pointer[chan struct{}] // closed by the next request that waits; nil: nobody asks
	settling sync.Mutex                    // held by who waits for the parked
	limits   sync.Map                      // of *rate.Limiter by the name of an instance
}

// Waiter is a request that waits for a change.
type Waiter struct {
	Instance string
	Path     string // with its query
	Since    time.Time
}

// Waiters are the requests that wait for a change, those that have waited longest first.
func (s *Server) Waiters() []Waiter {
	var list []Waiter
	s.parked.Range(func(waiter, _ any) bool {
		list = append(list, waiter.(*parking).Waiter)
		return true
	})
	slices.SortFunc(list, func(a, b Waiter) int { return a.Since.Compare(b.Since) })
	return list
}

// AwaitWaiter returns as soon as one of the requests that wait for a change is as it ought to
// be, or with the cause of the context's end.
func (s *Server) AwaitWaiter(ctx context.Context, is func(Waiter) bool) error {
	for {
		arrival := s.nextArrival() // first, to miss nobody
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

// nextArrival is closed when one more request waits.
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

// Settle returns when every request that waits for a change has looked at the world as it is
// now, or no longer waits: what has changed may then change back, and none has missed it. None
// holds it up, since what a request does between waking and waiting again, or answering, depends
// on no client.
func (s *Server) Settle() {
	s.settling.Lock()
	defer s.settling.Unlock()
	revision := s.worlds.Load().Revision
	s.parked.Range(func(waiter, _ any) bool {
		waiter.(*parking).awaitLook(revision)
		return true
	})
}

// New is a metadata server for every instance of the current world.
func New(worlds *store.Store[*world.World], issuer *token.Issuer, emulator *clock.Clock) *Server {
	return &Server{worlds: worlds, issuer: issuer, clock: emulator, profiles: profiles()}
}

// Dialect is how the metadata server speaks. Its answers are complete: their header depends
// on the instance that is asked.
func (s *Server) Dialect() wire.Dialect {
	return wire.Dialect{Error: func(r *http.Request, err error) wire.Response {
		v, _ := s.look(r)
		return v.profile.refuse(r, errorpage.StatusOf(err), "")
	}}
}

// view is the world at the moment of a request, and the instance that the request is for.
type view struct {
	store.Snapshot[*world.World]

	instance *world.Instance
	profile  *profile
}

// look is the world as it is now, and finds out which instance a request is for. It is false
// where that is no more; what is said of it is said as a VM.
func (s *Server) look(r *http.Request) (view, bool) {
	snapshot := s.worlds.Load()
	instance, ok := instanceOf(r, snapshot.State)
	if !ok {
		return view{Snapshot: snapshot, profile: s.profiles[fixtures.GCE]}, false
	}
	return view{Snapshot: snapshot, instance: instance, profile: s.profiles[instance.Profile]}, true
}

// renew makes the view that of the world as it is now. The instance stays the one with the
// name, whatever else the request could mean by now; it is false where that is no more.
func (s *Server) renew(v *view) bool {
	snapshot := s.worlds.Load()
	instance, ok := snapshot.State.Instance(v.instance.Name)
	if !ok {
		return false
	}
	*v = view{Snapshot: snapshot, instance: instance, profile: s.profiles[instance.Profile]}
	return true
}

// Ping answers "/", which clients ask to find out whether they run on Google Cloud; on a VM
// without the header that everything else needs.
func (s *Server) Ping(r *http.Request) (wire.Response, error) {
	v, ok := s.look(r)
	if !ok {
		return v.profile.refuse(r, http.StatusServiceUnavailable, ""), nil
	}
	if refusal, refused := v.profile.refuseForwarded(r); refused {
		return refusal, nil
	}
	if v.profile.pingNeedsFlavor && !v.profile.hasFlavor(r) {
		return v.profile.missingFlavor(r), nil
	}
	if !isRead(r) {
		return v.profile.refuse(r, http.StatusMethodNotAllowed, ""), nil
	}
	listing := s.tree(v.State, v.instance).root.listing()
	return v.profile.answer(listing.ContentType, listing.Body), nil
}

// Unknown answers a path that nobody serves, as the metadata server does.
func (s *Server) Unknown(r *http.Request) (wire.Response, error) {
	v, _ := s.look(r)
	if !isRead(r) {
		return v.profile.refuse(r, http.StatusMethodNotAllowed, ""), nil
	}
	return v.profile.refuse(r, http.StatusNotFound, ""), nil
}

// Metadata answers everything below /computeMetadata.
func (s *Server) Metadata(r *http.Request) (wire.Response, error) {
	v, ok := s.look(r)
	if !ok {
		return v.profile.refuse(r, http.StatusServiceUnavailable, ""), nil
	}
	if refusal, refused := v.profile.refuseForwarded(r); refused {
		return refusal, nil
	}
	if !v.profile.hasFlavor(r) {
		return v.profile.missingFlavor(r), nil
	}
	if names, ok := guestPath(r.URL.EscapedPath()); ok && v.instance.Profile == fixtures.GCE {
		return s.guest(r, v, names)
	}
	if !isRead(r) {
		return v.profile.refuse(r, http.StatusMethodNotAllowed, ""), nil
	}
	return s.read(r, v)
}

// read answers with the entry at the request's path, when it is the one that the client
// waits for: look, wait for a change, and again.
//
// Thousands of clients may wait. What a goroutine keeps on its stack at this depth decides
// how large a stack it needs; therefore little is passed by value from here on down.
func (s *Server) read(r *http.Request, v view) (wire.Response, error) {
	var q query
	q.parse(r.URL.RawQuery)
	var parked *parking
	for {
		found, err := s.find(r, &v, &q)
		if err != nil || !q.waitsFor(found.etag) {
			return parked.give(r, v.profile.complete(found)), err
		}
		if parked == nil {
			if err := wire.DrainBody(r); err != nil { // nobody would notice that the client has gone
				return wire.Response{}, err
			}
			parked = s.park(r, &q, v.instance)
			defer parked.leave()
		}
		parked.looked(v.Revision)
		select {
		case <-v.Changed:
		case <-parked.over:
			q.wait = false // whatever there is now
		}
		if !s.renew(&v) {
			return v.profile.refuse(r, http.StatusServiceUnavailable, ""), nil
		}
	}
}

// parking is the place of a request that waits.
type parking struct {
	Waiter

	server *Server
	over   <-chan struct{} // closed when the time is over, the client has gone or the server stops
	cancel context.CancelFunc
	seen   atomic.Uint64                 // the revision of the world at which it has looked
	look   atomic.Pointer[chan struct{}] // closed when it has looked again; nil: nobody asks
}

// give is an answer for the client, if that is still there; the parking is nil where it has not
// waited.
func (p *parking) give(r *http.Request, response wire.Response) wire.Response {
	response.Abandoned = p != nil && wire.IsGone(r.Context())
	return response
}

func (s *Server) park(r *http.Request, q *query, instance *world.Instance) *parking {
	ctx, cancel := q.waiting(r.Context(), s.clock)
	p := &parking{
		Waiter: Waiter{Instance: instance.Name, Path: wire.Target(r), Since: s.clock.Now()},
		server: s, over: ctx.Done(), cancel: cancel,
	}
	s.parked.Store(p, nil)
	if asked := s.arrival.Swap(nil); asked != nil {
		close(*asked)
	}
	return p
}

func (p *parking) leave() {
	p.cancel()
	p.server.parked.Delete(p)
	p.looked(math.MaxUint64) // it misses nothing any more
}

func (p *parking) looked(revision uint64) {
	p.seen.Store(revision)
	if asked := p.look.Swap(nil); asked != nil {
		close(*asked)
	}
}

// awaitLook returns when the request has looked at a revision or a later one, or has left.
func (p *parking) awaitLook(revision uint64) {
	for p.seen.Load() < revision {
		next := make(chan struct{})
		p.look.Store(&next)
		if p.seen.Load() < revision {
			<-next
		}
	}
}

// find finds what there is to answer now. The ETag is empty where there is nothing to wait
// for.
func (s *Server) find(r *http.Request, v *view, q *query) (*rendering, error) {
	tree := s.tree(v.State, v.instance)
	found, slash, ok := lookUp(tree.root, r.URL.EscapedPath())
	if ok && found.isContent(slash, q) {
		return found.render(q), nil
	}
	return s.exception(r, tree, found, q)
}

// exception answers a request for what has no content: an endpoint, a directory of which a
// listing is no answer, or nothing.
func (s *Server) exception(r *http.Request, t *tree, found *node, q *query) (*rendering, error) {
	var answer rendering
	var err error
	switch {
	case found == nil:
		answer.Response = t.missing(r)
	case found.isEndpoint():
		answer.Response, err = s.endpoint(r, found, t, q)
	case q.wait || q.form != defaultForm:
		answer.Response = t.profile.refuse(r, http.StatusBadRequest, "")
	default:
		answer.Response = t.profile.redirect(r)
	}
	return &answer, err
}

// missing says that there is no such entry. Those about the certificates of workloads could
// be there, if they were configured.
func (t *tree) missing(r *http.Request) wire.Response {
	name, ok := strings.CutPrefix(r.URL.EscapedPath(), "/computeMetadata/v1/instance/")
	configurable := []string{
		"gce-workload-certificates/config-status", "gce-workload-certificates/trust-anchors", "gce-workload-certificates/workload-identities",
		"workload-certificates-config-status", "workload-identities", "workload-trusted-root-certs",
	}
	if ok && t.instance.Profile == fixtures.GCE && slices.Contains(configurable, name) {
		return t.profile.refuse(r, http.StatusPreconditionFailed, "Workload certificates are not configured.")
	}
	return t.profile.refuse(r, http.StatusNotFound, "")
}

// hasFlavor tells whether a request has the header that no browser and no proxy sends by
// accident. The second one is deprecated, and still accepted on VMs.
func (p *profile) hasFlavor(r *http.Request) bool {
	return r.Header.Get("Metadata-Flavor") == "Google" ||
		p.oldFlavor && strings.EqualFold(r.Header.Get("X-Google-Metadata-Request"), "true")
}

// refuseForwarded refuses a request that came through a proxy, whatever else it says.
func (p *profile) refuseForwarded(r *http.Request) (wire.Response, bool) {
	if _, forwarded := r.Header["X-Forwarded-For"]; !forwarded {
		return wire.Response{}, false
	}
	return p.refuse(r, http.StatusForbidden, ""), true
}

func isRead(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead
}

// lookUp finds the entry at a path, as it was sent: Google's server decodes no percent
// escape. Doubled slashes count as one; the second result tells of a final one.
func lookUp(root *node, path string) (found *node, slash, ok bool) {
	found = root
	for rest := path; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		if name == "" {
			continue
		}
		if found, ok = found.child(name); !ok {
			return nil, false, false
		}
	}
	slash = strings.HasSuffix(path, "/")
	if slash && found.kind != directory {
		return nil, false, false
	}
	return found, slash, true
}

// redirect sends a client from a directory's name to the directory.
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
