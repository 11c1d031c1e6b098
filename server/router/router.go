// Package router finds the surface and the route of a request: it decides by the request's host name
// whether the emulator answers, and finds the route for its method and path.
//
// It owns the rules that match host names, paths and methods. It does not own the table of routes,
// which is in package server, and does not know how routes are handled.
package router

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/gorilla/mux"

	"gcp-metadata-emulator/server/lru"
)

const (
	// GetOrPost is the method of a route that answers GET, HEAD and POST.
	GetOrPost = "GET|POST"

	// Below ends the path of a route that answers every path and every method below the first
	// segment of the path.
	Below = "/..."
)

// Route leads requests to a handler.
type Route struct {
	Method string // an HTTP method, or GetOrPost; a route for GET also answers HEAD
	Path   string // a pattern of gorilla/mux for the whole path, or a first segment and Below

	// Handler and Unknown are called on the first request for the first segment of the path.
	Handler func() http.Handler
	Unknown func() http.Handler // answers paths that begin with the same segment and match no route
}

// New routes requests in two steps: by the first segment of the path, and then by the routes with this
// segment. So a request is never matched against the routes of other surfaces. Routes with the same
// first segment are tried in their order. If no route matches, the Unknown of the first route answers.
// If no route has the first segment, the parameter unknown answers.
func New(routes []Route, unknown func() http.Handler) http.Handler {
	segments := map[string][]Route{}
	for _, route := range routes {
		segment := firstSegment(route.Path)
		segments[segment] = append(segments[segment], route)
	}
	handlers := map[string]func() http.Handler{}
	for segment, routes := range segments {
		// Compiling patterns is slow, and a process that has just started should answer soon.
		handlers[segment] = sync.OnceValue(func() http.Handler { return newSegment(routes) })
	}
	if handlers[""] == nil {
		handlers[""] = sync.OnceValue(unknown)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = withoutLeadingSlashes(r)
		handler, ok := handlers[firstSegment(cmp.Or(r.URL.RawPath, r.URL.Path))] // no segment has escapes
		if !ok {
			handler = handlers[""]
		}
		handler().ServeHTTP(w, r)
	})
}

// newSegment returns the handler of the routes that begin with the same segment. It looks up paths
// without variables in a map, and matches only the other paths against patterns.
func newSegment(routes []Route) http.Handler {
	if len(routes) == 1 && strings.HasSuffix(routes[0].Path, Below) {
		return routes[0].Handler()
	}
	patterns := newPatterns(routes[0].Unknown())
	fixed := map[string]map[string]http.Handler{} // by method and path
	for _, route := range routes {
		handler := route.Handler()
		for _, method := range route.methods() {
			if strings.Contains(route.Path, "{") {
				patterns.add(method, route.Path, handler)
				continue
			}
			if fixed[method] == nil {
				fixed[method] = map[string]http.Handler{}
			}
			fixed[method][route.Path] = handler
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if handler, ok := fixed[r.Method][r.URL.EscapedPath()]; ok {
			handler.ServeHTTP(w, r)
			return
		}
		patterns.ServeHTTP(w, withoutTrailingSlashes(r))
	})
}

// patterns routes by patterns of paths. Matching a pattern is slow, so a request is matched only against
// the patterns with the same last word, as in "…/{account}:signBlob", and the patterns with a variable
// at the end. The most recently matched paths are remembered.
type patterns struct {
	byWord  map[string]*mux.Router
	others  *mux.Router
	unknown http.Handler
	recent  *lru.Cache[asked, match]
}

// Limits of the paths that are remembered.
const (
	maxRecent  = 256
	maxPathLen = 512
)

// asked is the part of a request that decides its route.
type asked struct{ method, path string }

// match is a route with the unescaped variables of a path.
type match struct {
	handler   http.Handler
	variables map[string]string
}

func newPatterns(unknown http.Handler) patterns {
	return patterns{byWord: map[string]*mux.Router{}, others: newMux(), unknown: unknown, recent: lru.New[asked, match](maxRecent)}
}

func newMux() *mux.Router { return mux.NewRouter().SkipClean(true).UseEncodedPath() }

func (p patterns) add(method, path string, handler http.Handler) {
	router := p.others
	if word := lastWord(path[strings.LastIndexByte(path, '}')+1:]); word != "" {
		if p.byWord[word] == nil {
			p.byWord[word] = newMux()
		}
		router = p.byWord[word]
	}
	router.Path(path).Methods(method).Handler(handler)
}

// ServeHTTP implements http.Handler. It sets the variables of the path as path values of the request, so
// that other packages do not depend on gorilla/mux.
func (p patterns) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := asked{r.Method, r.URL.EscapedPath()}
	found, ok := p.recent.Get(key)
	if !ok {
		if found, ok = p.match(r, key.path); !ok {
			p.unknown.ServeHTTP(w, r)
			return
		}
		if len(key.path) <= maxPathLen {
			p.recent.Add(asked{strings.Clone(key.method), strings.Clone(key.path)}, found) // both are parts of a longer line
		}
	}
	for name, value := range found.variables {
		r.SetPathValue(name, value)
	}
	found.handler.ServeHTTP(w, r)
}

// match matches a request against the patterns.
func (p patterns) match(r *http.Request, path string) (match, bool) {
	for _, router := range []*mux.Router{p.byWord[lastWord(path)], p.others} {
		var found mux.RouteMatch
		if router != nil && router.Match(r, &found) {
			return match{found.Handler, unescaped(found.Vars)}, true
		}
	}
	return match{}, false
}

// unescaped returns variables without percent escapes.
func unescaped(variables map[string]string) map[string]string {
	for name, value := range variables {
		if plain, err := url.PathUnescape(value); err == nil {
			value = plain
		}
		variables[name] = strings.Clone(value)
	}
	return variables
}

// lastWord returns the part of a path after its last slash or colon.
func lastWord(path string) string { return path[strings.LastIndexAny(path, "/:")+1:] }

// methods returns the HTTP methods that a route answers.
func (r Route) methods() []string {
	switch r.Method {
	case http.MethodGet:
		return []string{http.MethodGet, http.MethodHead}
	case GetOrPost:
		return []string{http.MethodGet, http.MethodHead, http.MethodPost}
	default:
		return []string{r.Method}
	}
}

// firstSegment returns the path up to its second slash.
func firstSegment(path string) string {
	segment, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return segment
}

// withoutLeadingSlashes removes doubled slashes from the beginning of a path. Some clients join a base
// URL and a path without removing a slash of either.
func withoutLeadingSlashes(r *http.Request) *http.Request {
	if !strings.HasPrefix(r.URL.Path, "//") {
		return r
	}
	return withPath(r, func(path string) string { return "/" + strings.TrimLeft(path, "/") })
}

// withoutTrailingSlashes removes slashes from the end of a path, as Google's proxy of its APIs does
// (https://github.com/cloudendpoints/esp/blob/master/src/api_manager/path_matcher.cc).
func withoutTrailingSlashes(r *http.Request) *http.Request {
	if !strings.HasSuffix(r.URL.EscapedPath(), "/") {
		return r
	}
	return withPath(r, func(path string) string { return strings.TrimRight(path, "/") })
}

// withPath returns a request with another path.
func withPath(r *http.Request, change func(path string) string) *http.Request {
	changed := *r
	changed.URL = &url.URL{}
	*changed.URL = *r.URL
	changed.URL.Path = change(r.URL.Path)
	changed.URL.RawPath = ""
	if r.URL.RawPath != "" {
		changed.URL.RawPath = change(r.URL.RawPath)
	}
	return &changed
}
