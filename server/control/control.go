// Package control implements the control plane: the API with which a test or a developer controls
// the emulator itself. Google has no counterpart.
//
// It only answers requests whose Host is a loopback name or was allowed, and refuses web pages of
// other origins, so that no such page can read keys or state. This does not protect from a
// program that can reach the address; to keep such programs out, listen on a loopback address.
package control

import (
	"fmt"
	"log/slog"
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
	"gcp-metadata-emulator/server/peers"
	"gcp-metadata-emulator/server/purpose"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/workloads"
	"gcp-metadata-emulator/server/world"
)

// Config holds the parts of the emulator that the control plane controls.
type Config struct {
	Worlds      *store.Store[*world.World]
	Keys        *keys.Ring
	Issuer      *token.Issuer
	Credentials *credentials.Maker
	Clock       *clock.Clock
	Faults      *fault.Set
	Events      *event.Player
	Journal     *journal.Journal
	Requests    *metrics.Requests // the measurements of requests
	Routes      func() []string   // the names of routes in the journal

	AllowedHosts []hostname.Pattern                   // host names to answer for besides loopback names
	DoorURLs     func() map[string]string             // base URLs by name of the services whose door has its own address; nil: none
	InstanceURLs func() map[string]string             // base URLs by name of the instances that have their own address; nil: none
	PublicURL    func() string                        // returns the base URL of the surfaces; nil: same as the control plane's
	Purposes     *purpose.Judge                       // decides about the uses of tokens
	IAMMode      func() string                        // returns the mode for requests that policies would refuse
	Workload     func(*http.Request) workloads.Choice // returns the instance of which the caller would get the metadata
	Parts        []Part                               // on which the emulator depends
	Waiters      func() []Waiter                      // lists the requests that wait for a metadata change
	Reset        func() error                         // restores the state at the start
	Peers        *peers.Group                         // the replicas that share the world; nil: the emulator is alone
	GivenKeys    string                               // the directory that Keys began with and does not change; empty: there is none
	Logger       *slog.Logger                         // warns of rotations of GivenKeys
}

// Part is something outside of the process on which the emulator depends.
type Part struct {
	// Health reports whether requests can be answered. problem describes a problem, and is empty if there
	// is none.
	Health   func() (ready bool, problem string)
	Readings []metrics.Reading
}

// Server handles requests to the control plane. It is safe for concurrent use.
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
	routes      func() []string

	allowedHosts []hostname.Pattern
	instanceURLs func() map[string]string
	doorURLs     func() map[string]string
	publicURL    func() string
	purposes     *purpose.Judge
	iamMode      func() string
	workload     func(*http.Request) workloads.Choice
	waiters      func() []Waiter
	parts        []Part
	reset        func() error
	peers        *peers.Group
	givenKeys    string
	logger       *slog.Logger

	run     string       // a unique ID of this server
	streams atomic.Int64 // number of open event streams
}

// New returns a control plane.
func New(config Config) *Server {
	s := &Server{
		worlds: config.Worlds, keys: config.Keys, issuer: config.Issuer, credentials: config.Credentials,
		clock: config.Clock, faults: config.Faults, player: config.Events, journal: config.Journal, requests: config.Requests, routes: config.Routes,
		allowedHosts: config.AllowedHosts, instanceURLs: config.InstanceURLs, doorURLs: config.DoorURLs, publicURL: config.PublicURL,
		purposes: config.Purposes, iamMode: config.IAMMode, workload: config.Workload, waiters: config.Waiters, parts: config.Parts, reset: config.Reset, peers: config.Peers,
		givenKeys: config.GivenKeys, logger: config.Logger, run: uuid.NewString(),
	}
	s.registerGauges()
	return s
}

// Guard wraps a handler. It refuses requests for hosts that are not allowed, and requests from web
// pages of other origins.
func (s *Server) Guard(handle wire.Handler) wire.Handler {
	guarded := s.GuardProbe(handle)
	return func(r *http.Request) (wire.Response, error) {
		host := hostname.Of(r.Host)
		if !hostname.IsLoopback(host) && !hostname.IsListed(host, s.allowedHosts) {
			return wire.Response{}, googleapi.PermissionDenied(fmt.Sprintf(
				"the control plane does not answer requests for host %q; allow it with --allow-host %s", host, host))
		}
		return guarded(r)
	}
}

// GuardProbe wraps a handler of a probe or of measurements, which have no secrets. It refuses only
// requests from web pages of other origins. It accepts any Host, because probes and scrapers in a cluster
// use an address as the Host.
func (s *Server) GuardProbe(handle wire.Handler) wire.Handler {
	return func(r *http.Request) (wire.Response, error) {
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

// surfacesURL returns the base URL under which the control plane's client reaches the surfaces.
func (s *Server) surfacesURL(r *http.Request) string {
	if s.publicURL != nil {
		return s.publicURL()
	}
	return wire.BaseURL(r)
}

type status struct {
	Status string `json:"status"`
	Run    string `json:"run"` // lets clients detect that the emulator was restarted
	IAM    string `json:"iam"` // off, audit or enforce

	Problems []string `json:"problems,omitempty"` // which do not keep requests from being answered
}

func (s *Server) status() status { return status{Status: "ok", Run: s.run, IAM: s.iamMode()} }

// Live reports that the process is running.
func (s *Server) Live(*http.Request) (wire.Response, error) {
	return googleapi.JSON(s.status()), nil
}

// Ready reports that a signing key exists, and that no part outside of the process prevents answers. If
// there is no key, Ready starts its generation and answers with an error.
func (s *Server) Ready(*http.Request) (wire.Response, error) {
	ready, err := s.keys.Google().Ready()
	if err != nil {
		return wire.Response{}, fmt.Errorf("read the signing keys: %w", err)
	}
	if !ready {
		return wire.Response{}, googleapi.Unavailable("the signing keys are still being generated")
	}
	answer := s.status()
	for _, part := range s.parts {
		ready, problem := part.Health()
		switch {
		case !ready:
			return wire.Response{}, googleapi.Unavailable(problem)
		case problem != "":
			answer.Problems = append(answer.Problems, problem)
		}
	}
	return googleapi.JSON(answer), nil
}

// Unknown answers requests for paths that the control plane does not have.
func (s *Server) Unknown(r *http.Request) (wire.Response, error) {
	return wire.Response{}, googleapi.NotFound(fmt.Sprintf("the control plane has no %s %s", r.Method, r.URL.Path))
}
