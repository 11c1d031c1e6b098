package mds

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gcp-metadata-emulator/server/robot"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// Server answers metadata requests. It is safe for concurrent use.
type Server struct {
	worlds *store.Store[*world.World]
	issuer *token.Issuer
	now    func() time.Time

	trees  atomic.Pointer[trees]
	parked sync.Map // the keys are of *parking
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

// trees are those of one version of the world, made as they are asked for.
type trees struct {
	world *world.World
	built sync.Map // of func() *tree by *world.Instance
}

// tree is what is served for one version of an instance.
type tree struct {
	instance      *world.Instance
	root          *node
	computeEngine token.ComputeEngine // the instance, as its ID tokens tell
	enforceScopes bool                // the scopes that a request for a token names count
	guestEnabled  bool                // guest attributes can be read and written
}

// New is a metadata server for every instance of the current world.
func New(worlds *store.Store[*world.World], issuer *token.Issuer, now func() time.Time) *Server {
	return &Server{worlds: worlds, issuer: issuer, now: now}
}

// Dialect is how the metadata server speaks.
func Dialect() wire.Dialect {
	return wire.Dialect{
		Header: []wire.Field{
			{Name: "Metadata-Flavor", Value: "Google"},
			{Name: "Server", Value: "Metadata Server for VM"},
			{Name: "X-XSS-Protection", Value: "0"},
			{Name: "X-Frame-Options", Value: "SAMEORIGIN"},
		},
		Error: robot.Error,
	}
}

// tree is that of an instance, built once for each of its versions: whoever waits for a
// change comes here at the same time.
func (s *Server) tree(w *world.World, instance *world.Instance) *tree {
	current := s.trees.Load()
	for current == nil || current.world != w {
		s.trees.CompareAndSwap(current, &trees{world: w})
		current = s.trees.Load()
	}
	known, ok := current.built.Load(instance)
	if !ok {
		known, _ = current.built.LoadOrStore(instance, sync.OnceValue(func() *tree { return newTree(w, instance) }))
	}
	return known.(func() *tree)()
}

func newTree(w *world.World, instance *world.Instance) *tree {
	root := build(instance)
	return &tree{
		instance: instance, root: root, computeEngine: computeEngine(w, instance),
		enforceScopes: isTrue(attribute(root, "enable-access-token-enforce-scopes")),
		guestEnabled:  isTrue(attribute(root, "enable-guest-attributes")),
	}
}

// treeOf is what a request reads. It is false where there is no such instance any more.
func (s *Server) treeOf(r *http.Request, w *world.World) (*tree, bool) {
	instance, ok := instanceOf(r, w)
	if !ok {
		return nil, false
	}
	return s.tree(w, instance), true
}

// Ping answers "/", which clients ask, without the header that everything else needs, to
// find out whether they run on Google Cloud.
func (s *Server) Ping(r *http.Request) (wire.Response, error) {
	if refusal, refused := refuseForwarded(r); refused {
		return refusal, nil
	}
	if !isRead(r) {
		return robot.MethodNotAllowed(r), nil
	}
	tree, ok := s.treeOf(r, s.worlds.Load().State)
	if !ok {
		return robot.Unavailable(), nil
	}
	listing := tree.root.listing()
	return wire.Response{ContentType: listing.ContentType, Body: listing.Body}, nil
}

// Unknown answers a path that nobody serves, as the metadata server does.
func (s *Server) Unknown(r *http.Request) (wire.Response, error) {
	if !isRead(r) {
		return robot.MethodNotAllowed(r), nil
	}
	return robot.NotFound(r), nil
}

// Metadata answers everything below /computeMetadata.
func (s *Server) Metadata(r *http.Request) (wire.Response, error) {
	if refusal, refused := refuse(r); refused {
		return refusal, nil
	}
	if names, ok := guestPath(r.URL.EscapedPath()); ok {
		return s.guest(r, names)
	}
	if !isRead(r) {
		return robot.MethodNotAllowed(r), nil
	}
	return s.read(r)
}

// read answers with the entry at the request's path, when it is the one that the client
// waits for: load, look, wait for a change, and again.
//
// Thousands of clients may wait. What a goroutine keeps on its stack at this depth decides
// how large a stack it needs; therefore little is passed by value from here on down.
func (s *Server) read(r *http.Request) (wire.Response, error) {
	var q query
	q.parse(r.URL.RawQuery)
	var parked *parking
	for {
		snapshot := s.worlds.Load()
		found, err := s.look(r, snapshot.State, &q)
		if err != nil || !q.waitsFor(found.etag) {
			return found.Response, err
		}
		if parked == nil {
			parked = s.park(r, &q, snapshot.State)
			defer parked.leave()
		}
		select {
		case <-snapshot.Changed:
		case <-parked.over:
			q.wait = false // whatever there is now
		}
	}
}

// parking is the place of a request that waits.
type parking struct {
	Waiter

	server *Server
	over   <-chan struct{} // closed when the time is over, the client has gone or the server stops
	cancel context.CancelFunc
}

func (s *Server) park(r *http.Request, q *query, w *world.World) *parking {
	instance, _ := instanceOf(r, w) // it has just answered
	ctx, cancel := q.waiting(r.Context())
	p := &parking{
		Waiter: Waiter{Instance: instance.Name, Path: r.URL.RequestURI(), Since: s.now()},
		server: s, over: ctx.Done(), cancel: cancel,
	}
	s.parked.Store(p, nil)
	return p
}

func (p *parking) leave() {
	p.cancel()
	p.server.parked.Delete(p)
}

// look finds what there is to answer now. The ETag is empty where there is nothing to wait
// for.
func (s *Server) look(r *http.Request, w *world.World, q *query) (*rendering, error) {
	tree, ok := s.treeOf(r, w)
	if !ok {
		return s.exception(r, nil, nil, q)
	}
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
	case t == nil:
		answer.Response = robot.Unavailable()
	case found == nil:
		answer.Response = robot.NotFound(r)
	case found.isEndpoint():
		answer.Response, err = s.endpoint(r, found, t, q)
	case q.wait || q.form != defaultForm:
		answer.Response = robot.BadRequest()
	default:
		answer.Response = redirect(r)
	}
	return &answer, err
}

// refuse answers what no metadata server serves: a request that came through a proxy, and
// one without the header that no browser and no proxy sends by accident.
func refuse(r *http.Request) (wire.Response, bool) {
	if refusal, refused := refuseForwarded(r); refused {
		return refusal, true
	}
	if hasFlavor(r) {
		return wire.Response{}, false
	}
	response := robot.Forbidden(r, "Missing Metadata-Flavor:Google header.")
	// Google's server writes "Close"; net/http ends the connection only for this spelling.
	response.Header = []wire.Field{{Name: "Connection", Value: "close"}}
	return response, true
}

// hasFlavor tells whether a request has the header that no browser and no proxy sends by
// accident. The second one is deprecated and still accepted.
func hasFlavor(r *http.Request) bool {
	return r.Header.Get("Metadata-Flavor") == "Google" ||
		strings.EqualFold(r.Header.Get("X-Google-Metadata-Request"), "true")
}

// refuseForwarded refuses a request that came through a proxy, whatever else it says.
func refuseForwarded(r *http.Request) (wire.Response, bool) {
	if _, forwarded := r.Header["X-Forwarded-For"]; !forwarded {
		return wire.Response{}, false
	}
	return robot.Forbidden(r, ""), true
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
func redirect(r *http.Request) wire.Response {
	path := r.URL.EscapedPath() + "/"
	location := path
	if r.Host != "" {
		location = wire.BaseURL(r) + path
	}
	if r.URL.RawQuery != "" {
		location += "?" + r.URL.RawQuery
	}
	return wire.Response{
		Status:      http.StatusMovedPermanently,
		ContentType: "text/html",
		Header:      []wire.Field{{Name: "Location", Value: location}},
		Body:        path + "\n",
	}
}
