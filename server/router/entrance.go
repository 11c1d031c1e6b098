package router

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/wire"
)

// Entrance decides under which host names the emulator answers. A web page can make its own name
// resolve to this machine and then read every answer under this name (DNS rebinding). With an
// address, with a foreign name, or without a name, it cannot.
type Entrance struct {
	config Config
	last   atomic.Pointer[answer] // for the previous Host, which is nearly always the next Host as well
}

// Config holds the handlers behind an Entrance. Every field is necessary.
type Config struct {
	Allowed    []hostname.Pattern     // further host names
	IsInstance func(name string) bool // reports whether the instance exists now
	Universe   func() string          // returns the domain below which the APIs also have names now

	// Service returns the handler of a service or a neighbour for the Host and the path of a request.
	// It returns nil if they lead to neither.
	Service func(r *http.Request) http.Handler

	Everything http.Handler // answers by path, for any host name
	Probes     []string     // the paths that Everything answers for other host names too
	Nowhere    http.Handler // answers requests for names that only services have, and that no service has
	Refused    http.Handler // answers requests for other host names
	Names      *Names       // answers for Google's host names

	// WithInstance makes the requests of a context requests to the named instance.
	WithInstance func(ctx context.Context, name string) context.Context
}

// answer is the handler for a Host header.
type answer struct {
	hostport string
	handler  http.Handler
}

// NewEntrance returns an Entrance.
func NewEntrance(config Config) *Entrance { return &Entrance{config: config} }

// ServeHTTP implements http.Handler.
func (e *Entrance) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, hostname.Path) {
		r = e.atHost(r)
	}
	handler := e.config.Service(r)
	if handler == nil {
		handler = e.handler(r.Host)
	}
	if handler == nil {
		handler = e.foreign(r)
	}
	handler.ServeHTTP(w, r)
}

// foreign returns the handler of a request for a host name that is not the emulator's.
func (e *Entrance) foreign(r *http.Request) http.Handler {
	if slices.Contains(e.config.Probes, r.URL.Path) {
		return e.config.Everything
	}
	return e.config.Refused
}

// atHost returns the request to the API host of a path with hostname.Path. If the path names no API
// host, it returns the same request. Only requests to the emulator itself can name a host.
func (e *Entrance) atHost(r *http.Request) *http.Request {
	name, path, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), hostname.Path), "/")
	host := hostname.Of(name)
	if !e.isOurs(hostname.Of(r.Host)) || !hostname.IsGoogle(host) && !e.isOfUniverse(host) {
		return r
	}
	target, err := url.Parse("/" + path)
	if err != nil || target.Host != "" {
		return r
	}
	target.RawQuery, target.ForceQuery = r.URL.RawQuery, r.URL.ForceQuery
	named := r.Clone(r.Context())
	named.Host, named.URL, named.RequestURI = host, target, target.RequestURI()
	return named
}

// Refuse answers a request for a host name for which the emulator does not answer.
func Refuse(r *http.Request) (wire.Response, error) {
	host := hostname.Of(r.Host)
	return wire.Response{
		Status:      http.StatusForbidden,
		ContentType: "text/plain; charset=utf-8",
		Body:        fmt.Sprintf("The emulator does not answer for host %q.\nhint: start it with --allow-host %s\n", host, host),
		Refusal: &journal.Refusal{
			Code:   reason.ForeignHost,
			Reason: fmt.Sprintf("the emulator does not answer for host %q", host),
			Hint:   "start it with --allow-host " + host,
		},
	}, nil
}

// handler returns the handler for a Host, or nil if the emulator does not answer for it.
func (e *Entrance) handler(hostport string) http.Handler {
	if last := e.last.Load(); last != nil && last.hostport == hostport {
		return last.handler
	}
	host := hostname.Of(hostport)
	switch {
	case hostname.IsGoogle(host), hostname.IsMetadata(host):
		return e.remember(hostport, e.config.Names.Handler(host))
	case hostname.IsService(host):
		return e.remember(hostport, e.config.Nowhere)
	case e.isOfUniverse(host): // not remembered: a reload may change the universe
		return e.config.Names.Handler(e.canonical(host))
	case e.isOurs(host):
		return e.remember(hostport, e.config.Everything)
	case e.isInstance(host):
		return e.instance(host)
	default:
		return nil
	}
}

func (e *Entrance) canonical(host string) string {
	return hostname.Canonical(host, e.config.Universe())
}

// isOfUniverse reports whether a host is a name of an API in a universe other than Google's own.
func (e *Entrance) isOfUniverse(host string) bool { return e.canonical(host) != host }

// isOurs reports whether the emulator always answers for a host.
func (e *Entrance) isOurs(host string) bool {
	return host == "" || isOurs(host) || hostname.IsListed(host, e.config.Allowed)
}

// Answers reports whether the emulator itself answers for the target of a proxied request that
// arrived at an address. It answers for Google's names on every port. Another name may belong to
// another server on this machine, unless the request arrived at the same port.
func (e *Entrance) Answers(host, port string, at net.Addr) bool {
	if hostname.IsOfGoogle(host) || e.isOfUniverse(host) {
		return true
	}
	own, isTCP := at.(*net.TCPAddr)
	return isTCP && port == strconv.Itoa(own.Port) && (e.isOurs(host) || e.isInstance(host))
}

// isInstance reports whether a host is a name of an instance that exists now.
func (e *Entrance) isInstance(host string) bool {
	label, rest, _ := strings.Cut(host, ".")
	if !e.config.IsInstance(label) {
		return false
	}
	// The names are demo-vm, demo-vm.localhost, and a name in Google's internal DNS, which cannot be
	// registered.
	return rest == "" || isOurs(rest) || hostname.IsMetadata(rest) || hostname.IsListed(rest, e.config.Allowed) || strings.HasSuffix(rest, ".internal")
}

// instance returns a handler for the instance that a host names. It chooses the instance only once,
// because the instance may be removed before the request is read.
func (e *Entrance) instance(host string) http.Handler {
	label, _, _ := strings.Cut(host, ".")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.config.Everything.ServeHTTP(w, r.WithContext(e.config.WithInstance(r.Context(), label)))
	})
}

// remember is a separate function, so that its argument is copied to the heap only if it is called.
func (e *Entrance) remember(hostport string, handler http.Handler) http.Handler {
	e.last.Store(&answer{hostport, handler})
	return handler
}

// isOurs reports whether a host is this machine, or an address of the metadata server
// (https://cloud.google.com/compute/docs/metadata/querying-metadata).
func isOurs(host string) bool {
	return hostname.IsLocalhost(host) || hostname.IsMetadataAddress(host)
}
