package server

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/gorilla/mux"

	"gcp-metadata-emulator/server/control"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
)

// unknown is who answers a path that begins like a route and is none.
func (s surfaces) unknown(name, segment string) route {
	switch {
	case segment == "emulator", name == controlName:
		return route{name: "control." + unknownRoute, dialect: control.Dialect(), handle: s.control.Unknown}
	case segment == "" && (name == "" || name == metadataName):
		return route{name: unknownRoute, dialect: s.metadata.Dialect(), handle: s.metadata.Unknown}
	default:
		return route{name: unknownRoute, dialect: googleapi.Dialect(), handle: googleapi.NoMethod}
	}
}

// handler routes requests in two steps: by the first segment of the path, and then by the
// routes that begin with it, so that no request is matched against those of other surfaces.
// Routes are those of a name in the table of names, or all of them where none is given.
func (s surfaces) handler(logger *slog.Logger, name string) http.Handler {
	segments := map[string][]route{"": nil} // who has no other
	for _, route := range s.routes() {
		if name != "" && !route.isServedAt(name) || name == "" && s.controlApart && route.isServedAt(controlName) {
			continue
		}
		segment := firstSegment(route.path)
		segments[segment] = append(segments[segment], route)
	}
	handlers := map[string]func() http.Handler{}
	for segment, routes := range segments {
		// Patterns take long to compile; a process that has just started has better to do.
		handlers[segment] = sync.OnceValue(func() http.Handler { return s.segment(name, segment, routes, logger) })
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = withoutLeadingSlashes(r)
		handler, ok := handlers[firstSegment(r.URL.EscapedPath())]
		if !ok {
			handler = handlers[""] // nobody
		}
		handler().ServeHTTP(w, r)
	})
}

// segment is the handler of the routes that begin with the same segment. Paths that are no
// patterns are looked up, and only the others matched.
func (s surfaces) segment(name, segment string, routes []route, logger *slog.Logger) http.Handler {
	if len(routes) == 1 && strings.HasSuffix(routes[0].path, below) {
		return s.serve(routes[0], logger)
	}
	unknown := s.serve(s.unknown(name, segment), logger)
	patterns := newPatterns(unknown)
	fixed := map[string]map[string]http.Handler{} // by method and path
	for _, route := range routes {
		handler := s.serve(route, logger)
		for _, method := range route.methods() {
			if strings.Contains(route.path, "{") {
				patterns.add(method, route.path, handler)
				continue
			}
			if fixed[method] == nil {
				fixed[method] = map[string]http.Handler{}
			}
			fixed[method][route.path] = handler
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if handler, ok := fixed[r.Method][r.URL.EscapedPath()]; ok {
			handler.ServeHTTP(w, r)
			return
		}
		patterns.ServeHTTP(w, r)
	})
}

// patterns routes by patterns of paths. To match one takes long; therefore a request is only
// matched with those that end in the same word, as in "…/{account}:signBlob", and with those
// that end in a variable.
type patterns struct {
	byWord map[string]*mux.Router
	others *mux.Router
}

func newPatterns(unknown http.Handler) patterns {
	return patterns{byWord: map[string]*mux.Router{}, others: newRouter(unknown)}
}

func newRouter(otherwise http.Handler) *mux.Router {
	router := mux.NewRouter().SkipClean(true).UseEncodedPath()
	router.NotFoundHandler, router.MethodNotAllowedHandler = otherwise, otherwise
	return router
}

func (p patterns) add(method, path string, handler http.Handler) {
	router := p.others
	if word := lastWord(path[strings.LastIndexByte(path, '}')+1:]); word != "" {
		if p.byWord[word] == nil {
			p.byWord[word] = newRouter(p.others)
		}
		router = p.byWord[word]
	}
	router.Path(path).Methods(method).Handler(handler)
}

// ServeHTTP implements http.Handler.
func (p patterns) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if router, ok := p.byWord[lastWord(r.URL.EscapedPath())]; ok {
		router.ServeHTTP(w, r)
		return
	}
	p.others.ServeHTTP(w, r)
}

// lastWord is what follows the last slash or colon of a path.
func lastWord(path string) string { return path[strings.LastIndexAny(path, "/:")+1:] }

// methods are the HTTP methods that a route answers; HEAD goes with GET.
func (r route) methods() []string {
	switch r.method {
	case http.MethodGet:
		return []string{http.MethodGet, http.MethodHead}
	case getOrPost:
		return []string{http.MethodGet, http.MethodHead, http.MethodPost}
	default:
		return []string{r.method}
	}
}

// firstSegment is the path up to its second slash.
func firstSegment(path string) string {
	segment, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return segment
}

// withoutLeadingSlashes takes doubled slashes from the front of a path: some clients join
// a base URL that ends in one with a path that begins with one.
func withoutLeadingSlashes(r *http.Request) *http.Request {
	if !strings.HasPrefix(r.URL.Path, "//") {
		return r
	}
	trimmed := *r
	trimmed.URL = &url.URL{}
	*trimmed.URL = *r.URL
	trimmed.URL.Path = "/" + strings.TrimLeft(r.URL.Path, "/")
	trimmed.URL.RawPath = ""
	if r.URL.RawPath != "" {
		trimmed.URL.RawPath = "/" + strings.TrimLeft(r.URL.RawPath, "/")
	}
	return &trimmed
}

// withVariables gives requests the variables of their path, unescaped, as path values, so
// that nothing but this file knows the router.
func withVariables(answer wire.Answer) wire.Answer {
	return func(r *http.Request) wire.Response {
		for name, value := range mux.Vars(r) {
			if unescaped, err := url.PathUnescape(value); err == nil {
				value = unescaped
			}
			r.SetPathValue(name, value)
		}
		return answer(r)
	}
}
