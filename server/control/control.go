// Package control is the control plane: what a test or a developer asks of the emulator
// itself, and Google has no word for.
//
// Only requests for a loopback Host, or for one that was allowed, are answered, and none of
// a web page of another origin: such a page must not get at keys and state. It is no
// protection from a program that reaches the address; that is what listening on a loopback
// address is for.
package control

import (
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/google/uuid"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/credentials"
	"gcp-metadata-emulator/server/event"
	"gcp-metadata-emulator/server/fault"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/metrics"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// Config is what a control plane drives.
type Config struct {
	Worlds      *store.Store[*world.World]
	Keys        *keys.Ring
	Issuer      *token.Issuer
	Credentials *credentials.Maker
	Clock       *clock.Clock
	Faults      *fault.Set
	Events      *event.Player
	Journal     *journal.Journal
	Requests    *metrics.Requests // those that have been counted
	Routes      []string          // the names under which requests are written down

	AllowedHosts []string                 // that it answers for besides loopback ones, without a port
	InstanceURLs func() map[string]string // of instances that have an address of their own, by name
	PublicURL    func() string            // the base URL of the surfaces; nil: where the control plane is
	Waiters      func() []Waiter          // lists the requests that wait for a change of metadata
	Reset        func()                   // brings everything back to how it started
}

// Server answers the control plane. It is safe for concurrent use.
type Server struct {
	worlds      *store.Store[*world.World]
	keys        *keys.Ring
	issuer      *token.Issuer
	credentials *credentials.Maker
	clock       *clock.Clock
	faults      *fault.Set
	player      *event.Player
	journal     *journal.Journal
	requests    *metrics.Requests
	routes      []string

	allowedHosts []string
	instanceURLs func() map[string]string
	publicURL    func() string
	waiters      func() []Waiter
	reset        func()

	run     string       // another one for each server
	streams atomic.Int64 // how many are open
}

// New is a control plane.
func New(config Config) *Server {
	return &Server{
		worlds: config.Worlds, keys: config.Keys, issuer: config.Issuer, credentials: config.Credentials,
		clock: config.Clock, faults: config.Faults, player: config.Events, journal: config.Journal, requests: config.Requests, routes: config.Routes,
		allowedHosts: config.AllowedHosts, instanceURLs: config.InstanceURLs, publicURL: config.PublicURL,
		waiters: config.Waiters, reset: config.Reset, run: uuid.NewString(),
	}
}

// Guard lets a handler answer requests for an allowed Host, unless a web page of another origin
// has sent them.
func (s *Server) Guard(handle wire.Handler) wire.Handler {
	return func(r *http.Request) (wire.Response, error) {
		host := hostname.Of(r.Host)
		if !hostname.IsLoopback(host) && !hostname.IsListed(host, s.allowedHosts) {
			return wire.Response{}, googleapi.PermissionDenied(fmt.Sprintf(
				"the control plane does not answer for host %q; allow it with --allow-host %s", host, host))
		}
		if origin := r.Header.Get("Origin"); origin != "" && origin != wire.BaseURL(r) {
			return wire.Response{}, googleapi.PermissionDenied(fmt.Sprintf(
				"the control plane does not answer web pages of another origin (%s)", origin))
		}
		if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" || site == "same-site" {
			return wire.Response{}, googleapi.PermissionDenied("the control plane does not answer web pages of another site")
		}
		return handle(r)
	}
}

// surfacesURL is the base URL of the surfaces, as the client of the control plane reaches them.
func (s *Server) surfacesURL(r *http.Request) string {
	if s.publicURL != nil {
		return s.publicURL()
	}
	return wire.BaseURL(r)
}

type status struct {
	Status string `json:"status"`
	Run    string `json:"run"` // by which what clients have learnt from an earlier emulator is told apart
}

// Live answers while the process does.
func (s *Server) Live(*http.Request) (wire.Response, error) {
	return googleapi.JSON(status{"ok", s.run}), nil
}

// Ready answers when there is a key that signs, or says that it is being made, which it sees to.
func (s *Server) Ready(*http.Request) (wire.Response, error) {
	ready, err := s.keys.Google().Ready()
	if err != nil {
		return wire.Response{}, fmt.Errorf("read the signing keys: %w", err)
	}
	if !ready {
		return wire.Response{}, googleapi.Unavailable("the signing keys are still being made")
	}
	return googleapi.JSON(status{"ok", s.run}), nil
}

// Unknown answers a path that the control plane does not have.
func (s *Server) Unknown(r *http.Request) (wire.Response, error) {
	return wire.Response{}, googleapi.NotFound(fmt.Sprintf("the control plane has no %s %s", r.Method, r.URL.Path))
}
