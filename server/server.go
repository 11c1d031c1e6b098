// Package server is the emulator as an HTTP server: it composes the surfaces into one
// handler and serves it.
//
// It owns the table of all routes, in routes.go, and connects the surfaces to each other. Each
// surface is a package of its own with narrow dependencies, and decides what its requests mean.
package server

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/cloudrun"
	"gcp-metadata-emulator/server/compute"
	"gcp-metadata-emulator/server/control"
	"gcp-metadata-emulator/server/credentials"
	"gcp-metadata-emulator/server/event"
	"gcp-metadata-emulator/server/fault"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/iamadmin"
	"gcp-metadata-emulator/server/iamcredentials"
	"gcp-metadata-emulator/server/iampolicy"
	"gcp-metadata-emulator/server/iampools"
	"gcp-metadata-emulator/server/iamroles"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/mds"
	"gcp-metadata-emulator/server/metrics"
	"gcp-metadata-emulator/server/oauth2"
	"gcp-metadata-emulator/server/observer"
	"gcp-metadata-emulator/server/page"
	"gcp-metadata-emulator/server/proxy"
	"gcp-metadata-emulator/server/publishedkeys"
	"gcp-metadata-emulator/server/realcredentials"
	"gcp-metadata-emulator/server/resourcemanager"
	"gcp-metadata-emulator/server/router"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/sts"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/tokeninfo"
	"gcp-metadata-emulator/server/userinfo"
	"gcp-metadata-emulator/server/world"
)

// Server is an emulator. It is an http.Handler, and a process can run any number of them.
type Server struct {
	http.Handler

	// The control plane uses these to drive the emulator, and so do tests in the same process.
	Clock   *clock.Clock
	Faults  *fault.Set
	Journal *journal.Journal
	Events  *event.Player

	worlds *store.Store[*world.World]
	loaded loaded // Reset restores it
	issuer *token.Issuer
	logger *slog.Logger

	shutdownTimeout time.Duration

	listeners  *listeners
	metadata   *mds.Server
	doors      *doors
	neighbours *neighbours
	proxy      *proxy.Proxy // handles CONNECT, other hosts and TLS
	drives     http.Handler // the control plane alone
	probes     http.Handler // probes and measurements alone
	peers      http.Handler // answers only requests of other replicas
}

// Replace serves another world from the next request on. It answers the requests that wait for a
// change if their part of the metadata has changed. It ends events, and starts the scenarios of the
// new world. There is an error only if replicas share the world, and their store does not answer.
func (s *Server) Replace(w *world.World) error {
	warnOfRoles(s.logger, w)
	return s.Events.Replace(func() error { return s.loaded.replace(w) })
}

// FollowPods answers the requests that wait for a change if their pod has been removed or has another
// identity. See world.Pods.
func (s *Server) FollowPods() {
	s.metadata.Forget()
	s.worlds.Wake()
}

// World returns the world that is served at present.
func (s *Server) World() store.Snapshot[*world.World] { return s.worlds.Load() }

// Reset restores the last world of New or Replace, and the machine's time. It clears faults, events,
// the journal, revocations, unfinished flows and spent codes, and starts scenarios again, in all
// replicas that share the world. Keys stay. The error is like the error of Replace.
func (s *Server) Reset() error { return s.Events.Replace(s.loaded.restore) }

// New composes an emulator.
func New(config Config) *Server {
	worlds, loaded := config.worlds()
	now := config.Clock.Now
	issuer := token.NewIssuer(config.Keys, now)
	callers := guard.New(guard.Config{Worlds: worlds, Issuer: issuer, Mode: config.IAM})
	policies, listening := iampolicy.New(worlds), &listeners{}
	metadata, authorization := mds.New(callers, config.Clock, config.Workloads), oauth2.New(worlds, issuer, now, listening.answerAt)
	config.share(issuer, authorization)
	routes := surfaces{}.table()
	s := &Server{
		Clock: config.Clock, Faults: fault.New(routes.names(), routes.defects(), config.Clock), Journal: journal.New(),
		Events: event.NewPlayer(worlds, config.Clock, metadata.Settle, config.Logger),
		worlds: worlds, loaded: loaded, issuer: issuer, logger: config.Logger, metadata: metadata, listeners: listening,
		shutdownTimeout: cmp.Or(config.ShutdownTimeout, shutdownTimeout),
	}
	loaded.whenRestored(s.forgetting(config, issuer.Reset, metadata.Reset, authorization.Reset, s.Journal.Clear))
	warnOfRoles(config.Logger, config.World)
	counts := metrics.NewRequests(routes.names())
	issuer.Measure(counts)
	config.Keys.ReportWaits(counts.KeyWaits())
	watch := observer.New(observer.Config{Clock: s.Clock, Faults: s.Faults, Journal: s.Journal, Counts: counts, Logger: config.Logger})
	s.doors = newDoors(config, s, watch, signIn(authorization, config.Logger))
	s.doors.counts = counts
	screen := realcredentials.New(worlds, config.Keys, issuer, config.Logger)
	s.neighbours = newNeighbours(config, s.doors, callers, screen)
	s.Faults.Also(s.further)
	all := surfaces{
		worlds:         worlds,
		observer:       watch,
		logger:         config.Logger,
		metadata:       metadata,
		oauth2:         authorization,
		tokeninfo:      tokeninfo.New(worlds, issuer, now),
		userinfo:       userinfo.New(worlds, issuer),
		iamcredentials: iamcredentials.New(worlds, config.Keys, issuer, callers, now),
		iamadmin:       iamadmin.New(worlds, config.Keys, callers, policies, now),
		iamroles:       iamroles.New(worlds, callers, now),
		iampools:       iampools.New(worlds, callers, now),
		projects:       resourcemanager.New(worlds, callers, policies),
		compute:        compute.New(worlds, callers),
		cloudrun:       cloudrun.New(worlds, callers, policies, now),
		sts:            sts.New(worlds, issuer, now, config.Cluster),
		publishedKeys:  publishedkeys.New(worlds, config.Keys, now),
		credentials:    screen,
		control: control.New(control.Config{
			Worlds: worlds, Keys: config.Keys, GivenKeys: config.GivenKeys, Logger: config.Logger, Issuer: issuer, Credentials: credentials.New(config.Keys, issuer),
			Clock: s.Clock, Faults: s.Faults, Journal: s.Journal, Requests: counts, Reset: s.Reset,
			Routes:       func() []string { return slices.Concat(routes.names(), s.further()) },
			AllowedHosts: config.AllowedHosts, InstanceURLs: config.InstanceURLs, DoorURLs: config.DoorURLs, PublicURL: config.PublicURL,
			Peers: config.peers(), Events: s.Events, IAMMode: func() string { return string(callers.InForce()) }, Workload: metadata.Workload, Parts: config.parts(), Waiters: waiters(metadata), Purposes: newPurposes(config, issuer, callers, s.doors),
		}),
		controlApart: config.PublicURL != nil,
	}
	all.rpc, all.page = all.newRPC(), page.New(all.perform)
	all.whole = all.table()
	entrance := all.entrance(config.AllowedHosts, s.doors, s.neighbours)
	s.Handler, listening.entrance = entrance, entrance
	s.drives, s.probes, s.peers = all.at(controlName), all.at(probesName), all.at(peersName)
	s.proxy = newProxy(config, entrance, counts, watch)
	config.begin(s)
	return s
}

// newProxy returns the proxy in front of an entrance.
func newProxy(config Config, entrance *router.Entrance, counts *metrics.Requests, watch *observer.Observer) *proxy.Proxy {
	p := proxy.New(proxy.Config{
		Handler: entrance, Answers: entrance.Answers, Authority: config.Keys.Authority,
		Allowed: config.ProxyAllowed, Logger: config.Logger, Refused: watch.Refused(proxyRoute),
	})
	counts.Gauge("tunnels", "Open tunnels through the proxy.", func() float64 { return float64(p.Tunnels()) })
	return p
}

// warnOfRoles logs the roles in the policies of a world that the emulator does not know.
func warnOfRoles(logger *slog.Logger, w *world.World) {
	for _, unknown := range w.UnknownRoles() {
		logger.Warn("unknown role in a policy", "reason", unknown.String(), "hint", unknown.Hint())
	}
}

// proxyRoute is the route name of requests that the forward proxy refuses.
const proxyRoute = "proxy"

// further returns the names of the routes that the present world adds.
func (s *Server) further() []string { return slices.Concat(s.doors.routes(), s.neighbours.routes()) }

// AwaitWaiter waits until is holds for a request that waits for a change of metadata. If the context
// ends first, it returns the cause.
func (s *Server) AwaitWaiter(ctx context.Context, is func(mds.Waiter) bool) error {
	return s.metadata.AwaitWaiter(ctx, is)
}

// Waiters returns the requests that wait for a change of metadata, in the order of their arrival.
func (s *Server) Waiters() []mds.Waiter { return s.metadata.Waiters() }

// waiters returns the waiting requests in the control plane's type, because the control plane does
// not know the metadata server.
func waiters(metadata *mds.Server) func() []control.Waiter {
	return func() []control.Waiter {
		var list []control.Waiter
		for _, waiter := range metadata.Waiters() {
			list = append(list, control.Waiter(waiter))
		}
		return list
	}
}
