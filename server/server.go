// Package server is the emulator as an HTTP server: it composes the surfaces into one
// handler and serves it.
//
// It owns the table of all routes, in routes.go, and connects the surfaces to each other. Each
// surface is a package of its own with narrow dependencies, and decides what its requests mean.
package server

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"gcp-metadata-emulator/keys"
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
	"gcp-metadata-emulator/server/park"
	"gcp-metadata-emulator/server/proxy"
	"gcp-metadata-emulator/server/publishedkeys"
	"gcp-metadata-emulator/server/realcredentials"
	"gcp-metadata-emulator/server/resourcemanager"
	"gcp-metadata-emulator/server/router"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/stall"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/sts"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/tokeninfo"
	"gcp-metadata-emulator/server/userinfo"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/workloads"
	"gcp-metadata-emulator/server/world"
)

// Config configures an emulator. World, Keys, Clock and Logger are required.
type Config struct {
	World        *world.World
	Keys         *keys.Ring
	Clock        *clock.Clock // also the clock of Keys
	Logger       *slog.Logger
	IAM          guard.Mode         // whether bearer tokens are checked and policies enforced; empty: the world decides
	AllowedHosts []hostname.Pattern // further host names under which the emulator answers

	Workloads    workloads.Chooser // decides which instance a request for metadata is for
	ProxyAllowed []hostname.Target // other hosts to which it forwards requests, as a forward proxy

	// GivenKeys is the directory whose keys Keys began with, if later keys do not get there. It may be empty.
	GivenKeys string

	// InstanceURLs returns the base URLs of the instances that have an address of their own at
	// present, by name.
	InstanceURLs func() map[string]string

	// DoorURLs returns the base URLs of the doors that have an address of their own at present, by
	// the names of their services. If it is nil, no door has one.
	DoorURLs func() map[string]string

	// Explain makes doors tell clients why they were refused, in the header X-Emulator-Reason.
	Explain bool

	// PublicURL returns the base URL of all surfaces but the control plane, which is then served only
	// by ServeControl. If it is nil, the control plane is served with the other surfaces.
	PublicURL func() string

	// Replica shares the world with other emulators. If it is nil, the emulator is alone. Otherwise World
	// must be the replicas' world.
	Replica Shared

	// ReplicaTimeout is the time for which the answer of another replica is waited for, if a request asks
	// for what all replicas have; zero means 1 s.
	ReplicaTimeout time.Duration

	// Pods are the pods of a cluster that is watched, which are instances too. If they are nil, no cluster
	// is watched.
	Pods *world.Pods

	// Cluster knows the keys of the tokens of the cluster that is watched. If it is nil, there is none.
	Cluster sts.Cluster

	Parts []control.Part // outside of the process, on which the emulator depends

	// ShutdownTimeout is the time that unfinished requests have to finish when an address closes;
	// zero means 5 s.
	ShutdownTimeout time.Duration
}

// Server is an emulator. It is an http.Handler, and any number of them run in one process.
type Server struct {
	http.Handler

	// The control plane uses these to drive the emulator, and so do tests in the same process.
	Clock   *clock.Clock
	Faults  *fault.Set
	Journal *journal.Journal
	Events  *event.Player

	worlds *store.Store[*world.World]
	loaded loaded   // Reset restores it
	forget []func() // Reset calls them
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
	peers      http.Handler // what other replicas ask alone
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

// Reset restores the world that New or Replace was given last, and the machine's time. It clears
// faults, events, the journal, revocations, unfinished flows and spent codes, and starts scenarios
// again. Keys stay. The error is like that of Replace.
func (s *Server) Reset() error {
	err := s.Events.Replace(func() error {
		if err := s.loaded.restore(); err != nil {
			return err // a reset that is refused forgets nothing
		}
		for _, forget := range s.forget {
			forget()
		}
		return nil
	})
	if err == nil {
		s.Journal.Clear()
	}
	return err
}

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
	s.forget = []func(){s.forgetOwn(config), issuer.Reset, metadata.Reset, authorization.Reset}
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

// AwaitWaiter returns as soon as a request that waits for a change of metadata satisfies is, or
// with the cause of the context's end.
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

// Limits of connections. Writing has no limit here, because a client may wait for a change of metadata
// for any time: package stall limits the time for which a client does not read.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = time.Minute
	idleTimeout       = 10 * time.Minute
	tunnelIdleTimeout = time.Minute // the number of tunnels is limited
	maxHeaderBytes    = 64 << 10
	shutdownTimeout   = 5 * time.Second
)

// Serve answers the connections of a listener until the context ends, and closes the listener. It
// then answers waiting requests at once, and lets other requests finish. It returns nil if the end
// of the context stopped it.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	return s.serveAPIs(ctx, context.WithoutCancel(ctx), listener)
}

// TLS returns a listener whose connections use TLS, with certificates of the emulator's authority.
func (s *Server) TLS(listener net.Listener) net.Listener {
	return s.proxy.TLS(stall.Listener(listener))
}

// MutualTLS is TLS for clients that authenticate themselves with a certificate of a pool.
func (s *Server) MutualTLS(listener net.Listener, clients *x509.CertPool) net.Listener {
	return s.proxy.MutualTLS(stall.Listener(listener), clients)
}

// ServeInstance is Serve for the address of one instance: the instance's metadata server answers
// there, beside every other surface.
func (s *Server) ServeInstance(ctx context.Context, listener net.Listener, name string) error {
	return s.serveAPIs(ctx, workloads.Named(context.WithoutCancel(ctx), name, workloads.ByListener), listener)
}

// ServeDoor is Serve for an address of one service: every request is for this service.
func (s *Server) ServeDoor(ctx context.Context, listener net.Listener, service string) error {
	handler, end := s.doors.serveAt(listener, service)
	defer end()
	return s.serve(ctx, context.WithoutCancel(ctx), listener, func(*proxy.Tunnels) http.Handler { return handler })
}

// ServeNeighbour is Serve for an address of the neighbour of one API, by its host name.
func (s *Server) ServeNeighbour(ctx context.Context, listener net.Listener, host string) error {
	handler := s.neighbours.to(host)
	return s.serve(ctx, context.WithoutCancel(ctx), listener, func(*proxy.Tunnels) http.Handler { return handler })
}

// HandleService has a handler in this process answer the requests that the door of a service lets
// in, in place of the service's upstream. It affects doors that are served later, and the main
// address.
func (s *Server) HandleService(service string, handler http.Handler) {
	s.doors.handle(service, handler)
}

// Door returns the door of a service, as middleware: it lets through to the handler what Cloud Run
// would let through. The addresses are base URLs at which the result is served; tokens may name
// them as their audience, besides the service's own URLs.
func (s *Server) Door(service string, handler http.Handler, addresses ...string) http.Handler {
	return s.doors.before(service, handler, addresses...)
}

// ServeControl is Serve for an address of the control plane.
func (s *Server) ServeControl(ctx context.Context, listener net.Listener) error {
	return s.serve(ctx, context.WithoutCancel(ctx), listener, func(*proxy.Tunnels) http.Handler { return s.drives })
}

// ServeProbes is Serve for an address at which only probes and measurements answer, under any Host.
func (s *Server) ServeProbes(ctx context.Context, listener net.Listener) error {
	return s.serve(ctx, context.WithoutCancel(ctx), listener, func(*proxy.Tunnels) http.Handler { return s.probes })
}

// ServePeers is Serve for an address at which only what other replicas ask answers.
func (s *Server) ServePeers(ctx context.Context, listener net.Listener) error {
	return s.serve(ctx, context.WithoutCancel(ctx), listener, func(*proxy.Tunnels) http.Handler { return s.peers })
}

// serve gives requests a context of their own, because they may continue for a while after ctx ends.
func (s *Server) serve(ctx, base context.Context, listener net.Listener, handler func(*proxy.Tunnels) http.Handler) error {
	defer s.doors.Close()
	requests, stop := context.WithCancelCause(base)
	defer stop(nil)
	var conns stall.Conns
	tunnels := proxy.NewTunnels(listener.Addr())
	direct, tunnelled := s.httpServer(requests, &conns, handler(tunnels)), s.httpServer(requests, &conns, handler(tunnels))
	tunnelled.IdleTimeout = tunnelIdleTimeout
	lot := park.New(requests, direct, listener.Addr())
	served := make(chan error, 3)
	go func() { served <- direct.Serve(stall.Listener(listener)) }()
	go func() { served <- direct.Serve(lot) }()
	go func() { served <- tunnelled.Serve(tunnels) }()

	select {
	case err := <-served:
		_, _ = direct.Close(), tunnelled.Close() // they still serve other listeners
		return errors.Join(err, other(<-served), other(<-served))
	case <-ctx.Done():
	}
	stop(wire.ErrStopping)
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.shutdownTimeout)
	defer cancel()
	lot.Drain(late)
	go func() {
		conns.Drain(late)
		cancel()
	}()
	var ending sync.WaitGroup
	for _, server := range []*http.Server{direct, tunnelled} {
		ending.Go(func() {
			if err := server.Shutdown(late); err != nil {
				_ = server.Close() // cut off the remaining requests
			}
		})
	}
	ending.Wait()
	return errors.Join(other(<-served), other(<-served), other(<-served))
}

// other returns err unless it only says that the server was closed.
func other(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// httpServer returns the server of one address, or of the tunnels that begin there. It speaks
// HTTP/2 if TLS negotiates it, and to clients that start with it (RFC 9113, section 3.3), as
// clients of gRPC do.
func (s *Server) httpServer(requests context.Context, conns *stall.Conns, handler http.Handler) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           stall.Handler(handler),
		Protocols:         &protocols,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          s.proxy.ErrorLog(),
		BaseContext:       func(net.Listener) context.Context { return requests },
		ConnState:         conns.Track,
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return proxy.ConnContext(conns.Context(ctx, conn), conn)
		},

		DisableGeneralOptionsHandler: true,
	}
}
