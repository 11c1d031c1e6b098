package servertest

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world"
)

// Door stands in front of a service, as Cloud Run does. It is an [http.Handler], too.
type Door struct {
	// URL is the base URL of the door, without a final slash. Tokens may name it as their audience.
	URL string
	// Service is the service, with the URLs and audiences that its callers may use.
	Service *world.Service

	http.Handler
}

// Ingress serves a handler behind the door of a service of the fixture, at a new address. If Cloud Run
// would refuse a caller, the door answers 401 or 403, whether or not the emulator is strict. The policy
// of the resource "services/NAME" decides who may call. If a request was refused, [Emulator.Requests]
// with the route "ingress.NAME" has the reason.
//
// Each call replaces the handler for the service's URLs, which lead to the emulator's main address.
func (e *Emulator) Ingress(service string, handler http.Handler) *Door {
	e.t.Helper()
	known := e.service(service)
	e.server.HandleService(service, handler)
	address := e.serve(func(ctx context.Context, listener net.Listener) error {
		return e.server.ServeDoor(ctx, listener, service)
	})
	at := "http://" + address.String()
	door := &Door{URL: at, Service: known, Handler: e.server.Door(service, handler, at)}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.doors[service] = door
	return door
}

// RequireInvoker returns middleware that decides about requests as the door of a service does. The
// addresses are base URLs at which the handler is served, such as the URL of an httptest.Server.
// Tokens may have them as their audience, besides the service's own URLs.
func (e *Emulator) RequireInvoker(service string, addresses ...string) func(http.Handler) http.Handler {
	e.t.Helper()
	e.service(service)
	return func(next http.Handler) http.Handler { return e.server.Door(service, next, addresses...) }
}

// service returns a service of the present world.
func (e *Emulator) service(name string) *world.Service {
	e.t.Helper()
	service, exists := e.server.World().State.Service(name)
	if !exists {
		e.t.Fatalf("servertest: there is no service %q\nhint: give the instance of that name an ingress: "+
			"instances: [{name: %s, profile: cloud-run, ingress: {}}]", name, name)
	}
	return service
}

func (e *Emulator) doorURLs() map[string]string {
	e.mu.Lock()
	defer e.mu.Unlock()
	urls := map[string]string{}
	for name, door := range e.doors {
		urls[name] = door.URL
	}
	return urls
}

// ClientAs returns an HTTP client whose requests carry an ID token of a service account or user, as
// the calls of one service to another do. An empty account means the default instance's account. An
// empty audience means the scheme and host of each request. Every request carries a new token, so
// that changes of the emulator's time and keys do not matter. The client reaches the same hosts as
// [Emulator.Client].
func (e *Emulator) ClientAs(account, audience string) *http.Client {
	e.t.Helper()
	who, err := e.principal(account)
	if err != nil {
		e.t.Fatalf("servertest: %v", err)
	}
	return &http.Client{Transport: &caller{emulator: e, who: who, audience: audience}}
}

func (e *Emulator) principal(id string) (iam.Principal, error) {
	current := e.server.World().State
	attached := current.DefaultInstance().ServiceAccounts
	switch who, known := current.Principal(id); {
	case known:
		return who, nil
	case id != "":
		return iam.Principal{}, errors.New("there is no service account or user \"" + id + "\"")
	case len(attached) == 0:
		return iam.Principal{}, errors.New("the default instance has no service account")
	default:
		return attached[0].Account.Principal(), nil
	}
}

// caller adds an ID token to requests.
type caller struct {
	emulator *Emulator
	who      iam.Principal
	audience string
}

// RoundTrip implements http.RoundTripper.
func (c *caller) RoundTrip(r *http.Request) (*http.Response, error) {
	site := url.URL{Scheme: r.URL.Scheme, Host: r.URL.Host}
	order := token.Order{Kind: token.KindID, Principal: c.who, Audience: cmp.Or(c.audience, site.String())}
	issued, err := c.emulator.server.Mint(r.Context(), order)
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // a RoundTripper must close the body
		}
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+issued.Text)
	return c.emulator.client.Transport.RoundTrip(r)
}
