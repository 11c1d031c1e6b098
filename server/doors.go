package server

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"gcp-metadata-emulator/server/door"
	"gcp-metadata-emulator/server/ingress"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/metrics"
	"gcp-metadata-emulator/server/oauth2"
	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/observer"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/world"
)

// doorRoute begins the names of the routes that lead to services.
const doorRoute = "ingress."

// doors holds the doors of the world's services, with the observer around them.
type doors struct {
	*door.Doors

	worlds   *store.Store[*world.World]
	observer *observer.Observer
	counts   *metrics.Requests
	handlers sync.Map // http.Handler by the name of the service, for the main address
	inside   sync.Map // http.Handler in place of the service's upstream, by the name of the service
	open     sync.Map // the address at which a door is served, by listener
}

func newDoors(config Config, of *Server, watch *observer.Observer, signsIn door.SignIn) *doors {
	d := &doors{worlds: of.worlds, observer: watch}
	d.Doors = door.New(door.Config{
		Worlds: of.worlds, Issuer: of.issuer, Clock: config.Clock, Logger: config.Logger, Explain: config.Explain,
		IsInternal: of.metadata.IsOfInstance, Observe: d.note, SignIn: signsIn,
	})
	return d
}

// signIn returns the page on which people sign in to services, and its codes.
func signIn(authorization *oauth2.Server, logger *slog.Logger) door.SignIn {
	return door.SignIn{Page: oauthapi.Dialect().Adapt(logger, authorization.Authorize), Redeem: authorization.Redeem}
}

// routes returns the names of the routes to the present services.
func (d *doors) routes() []string {
	var names []string
	for _, service := range d.worlds.Load().State.Services() {
		names = append(names, doorRoute+service.Name)
	}
	return names
}

// to returns the door to a service. The addresses are base URLs of the door.
func (d *doors) to(service string, addresses ...string) http.Handler {
	if handler, ok := d.inside.Load(service); ok {
		return d.before(service, handler.(http.Handler), addresses...)
	}
	return d.observed(service, d.To(service, addresses...))
}

// before returns the door to a service with a handler behind it.
func (d *doors) before(service string, handler http.Handler, addresses ...string) http.Handler {
	return d.observed(service, d.Before(service, handler, addresses...))
}

// observed returns a door to a service with the observer around it.
func (d *doors) observed(service string, handler http.Handler) http.Handler {
	d.counts.Also(doorRoute + service)
	return d.observer.Stream(doorRoute+service, door.Dialect(), handler)
}

// handle makes a handler answer the requests to a service.
func (d *doors) handle(service string, handler http.Handler) {
	d.inside.Store(service, handler)
	d.handlers.Delete(service)
}

// address is the address of a door.
type address struct {
	service string
	urls    []string
}

// serveAt registers a listener at which the door to a service is served, until end is called.
func (d *doors) serveAt(listener net.Listener, service string) (door http.Handler, end func()) {
	urls := addresses(listener.Addr())
	d.open.Store(listener, address{service, urls})
	return d.to(service, urls...), func() { d.open.Delete(listener) }
}

// judge returns the decision about a token at the door to a service, at any of its addresses.
func (d *doors) judge(ctx context.Context, service, text string) ingress.Verdict {
	var urls []string
	d.open.Range(func(_, value any) bool {
		if at := value.(address); at.service == service {
			urls = append(urls, at.urls...)
		}
		return true
	})
	return d.Judge(ctx, service, text, urls...)
}

// at returns the door to the service to which the Host and the path of a request lead, or nil.
func (d *doors) at(r *http.Request) http.Handler {
	current := d.worlds.Load().State
	if !current.HasServices() {
		return nil
	}
	service, ok := current.ServiceAt(hostname.Of(r.Host), r.URL.EscapedPath())
	if !ok {
		return nil
	}
	handler, known := d.handlers.Load(service.Name)
	if !known {
		handler, _ = d.handlers.LoadOrStore(service.Name, d.to(service.Name))
	}
	return handler.(http.Handler)
}

// nowhere returns the handler of requests for a name of a service that does not exist.
func (d *doors) nowhere() http.Handler {
	return d.observer.Stream(unknownRoute, door.Dialect(), d.Nowhere())
}

// note records a request to a door in the journal.
func (d *doors) note(r *http.Request, p door.Passage) {
	route := doorRoute + p.Service
	if p.Service == "" {
		route = unknownRoute
	}
	e := journal.Exchange{
		Time: p.Time, Route: route, Instance: p.Service, Status: p.Status, Bytes: max(int(p.Bytes), 0),
		Account: p.Verdict.Caller.Email,
	}
	e.Explain(failure(p.Status, p.Failure))
	e.Caller = p.Verdict.Caller.Member()
	if refusal := p.Verdict.Refusal; refusal != nil {
		e.Code, e.Reason, e.Hint = refusal.Reason.Code, refusal.Reason.Sentence, refusal.Reason.Hint
		if missing := refusal.Reason.Missing; missing != nil {
			e.Missing = new(journal.Missing(*missing))
		}
	}
	d.observer.Note(r, e, p.Begun)
}

// failure returns the reason if an upstream failed and the door answered instead, or nil. If the client has
// gone, the status is 0.
func failure(status int, why string) *journal.Refusal {
	if status == 0 || why == "" {
		return &journal.Refusal{Reason: why}
	}
	return &journal.Refusal{Code: reason.Upstream, Reason: why}
}

// addresses returns the base URLs by which callers on this machine reach a listener.
func addresses(of net.Addr) []string {
	at, err := netip.ParseAddrPort(of.String())
	if err != nil {
		return []string{"http://" + of.String()}
	}
	host := at.Addr().Unmap()
	list := []string{"http://" + of.String()}
	if host.IsLoopback() || host.IsUnspecified() {
		_, port, _ := net.SplitHostPort(of.String())
		for _, name := range []string{"localhost", "127.0.0.1", "::1"} {
			list = append(list, "http://"+net.JoinHostPort(name, port))
		}
	}
	return list
}

// HandleService has a handler in this process answer the requests that the door of a service lets in,
// instead of the service's upstream. It affects doors only if they are served later, and the main address.
func (s *Server) HandleService(service string, handler http.Handler) {
	s.doors.handle(service, handler)
}

// Door returns the door of a service, as middleware: it passes a request to the handler if Cloud Run
// would let it through. The addresses are base URLs at which the result is served; tokens may name
// them as their audience, besides the service's own URLs.
func (s *Server) Door(service string, handler http.Handler, addresses ...string) http.Handler {
	return s.doors.before(service, handler, addresses...)
}
