package cli

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/reach"
	"gcp-metadata-emulator/server/world"
)

// site is a listener at one of the emulator's addresses.
type site struct {
	net.Listener
	address

	stop context.CancelFunc
	done chan struct{} // closed when the site stops serving
	err  error         // why it stopped; valid once done is closed; nil: it was told to
}

// sites holds the emulator's listeners: first its own, then those of instances. Only the serving
// goroutine may use it, except for urls and doorURLs.
type sites struct {
	open    []*site
	serving int        // number of serving sites, including abandoned ones
	over    chan *site // gets each site that stops serving

	published atomic.Pointer[map[string]string]
	doors     atomic.Pointer[map[string]string]
}

func newSites() *sites { return &sites{over: make(chan *site)} }

// urls returns the base URLs of the instances that have an address.
func (s *sites) urls() map[string]string { return *s.published.Load() }

// doorURLs returns the base URLs of the doors that have an address, by service.
func (s *sites) doorURLs() map[string]string { return *s.doors.Load() }

func (s *sites) publish() {
	urls, doors := map[string]string{}, map[string]string{}
	for _, one := range s.open {
		if one.door != "" {
			doors[one.door] = baseURL(one.Addr()).String()
		}
		if _, known := urls[one.instance]; one.instance != "" && !known { // its own address comes before Google's
			urls[one.instance] = baseURL(one.Addr()).String()
		}
	}
	s.published.Store(&urls)
	s.doors.Store(&doors)
}

// address is an address to listen on. instance is the instance at this address; if it is empty, the
// Host header names the instance, or it is the default instance.
type address struct {
	hostport, instance string
	secure             bool         // with TLS
	client             *keys.Client // with TLS, and only for clients with this certificate; nil: for all clients
	control            bool         // serves only the control plane
	probes             bool         // serves only probes and measurements
	peers              bool         // serves only what other replicas ask
	door               string       // serves only the door of this service
	neighbour          string       // serves only the neighbour of this API
}

// plan returns the addresses of an emulator for a world, the emulator's own first.
type plan func(*world.World) ([]address, error)

// everywhere plans the emulator's own address and the instances' addresses in the fixture.
func everywhere(hostport string) plan {
	return func(w *world.World) ([]address, error) {
		wanted := []address{{hostport: hostport}}
		for _, instance := range w.Instances {
			if instance.Listen != "" {
				wanted = append(wanted, address{hostport: instance.Listen, instance: instance.Name})
			}
		}
		return append(wanted, doors(w)...), nil
	}
}

// doors returns the addresses that the fixture gives to the doors of services and to neighbours.
func doors(w *world.World) []address {
	var wanted []address
	for _, service := range w.Services() {
		if service.Listen != "" {
			wanted = append(wanted, address{hostport: service.Listen, door: service.Name})
		}
	}
	for _, one := range w.Neighbours {
		if one.Listen != "" {
			wanted = append(wanted, address{hostport: one.Listen, neighbour: one.Host})
		}
	}
	return wanted
}

// oneAddress plans a single address for the named instance, or for the emulator if name is empty.
func oneAddress(hostport, name string) plan {
	return func(w *world.World) ([]address, error) {
		if _, known := w.Instance(name); name != "" && !known {
			names := make([]string, len(w.Instances))
			for i, instance := range w.Instances {
				names[i] = instance.Name
			}
			return nil, noInstance(name, names)
		}
		return []address{{hostport: hostport, instance: name}}, nil
	}
}

// withTLS adds an address that serves over TLS, unless hostport is empty.
func (p plan) withTLS(hostport string) plan {
	if hostport == "" {
		return p
	}
	return func(w *world.World) ([]address, error) {
		wanted, err := p(w)
		if err != nil {
			return nil, err
		}
		return append(wanted, address{hostport: hostport, instance: wanted[0].instance, secure: true}), nil
	}
}

// with adds an address, unless its hostport is empty.
func (p plan) with(one address) plan {
	if one.hostport == "" {
		return p
	}
	return func(w *world.World) ([]address, error) {
		wanted, err := p(w)
		return append(wanted, one), err
	}
}

// find returns the base URL of the last matching address, or nil.
func (s *sites) find(is func(address) bool) *url.URL {
	for _, one := range slices.Backward(s.open) {
		if is(one.address) {
			return baseURL(one.Addr())
		}
	}
	return nil
}

// withTakeover adds the addresses of Google's servers. They serve the same instance as the
// emulator's own address. With TLS, the metadata server accepts only the client's certificate.
func (p plan) withTakeover(client *keys.Client) plan {
	return func(w *world.World) ([]address, error) {
		wanted, err := p(w)
		if err != nil {
			return nil, err
		}
		instance := wanted[0].instance
		return append(wanted,
			address{hostport: net.JoinHostPort(reach.MetadataAddress, "80"), instance: instance},
			address{hostport: net.JoinHostPort(reach.MetadataAddress, "443"), instance: instance, client: client},
			address{hostport: net.JoinHostPort(reach.TLSAddress, "443"), instance: instance, secure: true},
		), nil
	}
}

// open opens all addresses, or none if one fails.
func (e *emulator) open(ctx context.Context, wanted []address) error {
	for _, want := range wanted {
		if err := e.openOne(ctx, want); err != nil {
			for _, one := range e.sites.open {
				_ = one.Close() // nothing was received
			}
			return err
		}
	}
	e.url = baseURL(e.sites.open[0].Addr())
	e.control = e.sites.find(func(one address) bool { return one.control })
	if e.secure = e.sites.find(func(one address) bool { return one.secure }); e.secure != nil {
		e.secure.Scheme = "https"
	}
	e.sites.publish()
	return nil
}

func (e *emulator) openOne(ctx context.Context, want address) error {
	listener, err := listen(ctx, want.hostport)
	if err != nil {
		return err
	}
	if want.door == "" && want.neighbour == "" && !want.probes && !want.peers && !isLoopback(want.hostport) && !isConfined(want.hostport) {
		e.logger.WarnContext(ctx, "other machines may be able to get tokens and keys from this address", "listen", listener.Addr().String())
	}
	switch {
	case want.secure, want.client != nil:
		e.logger.InfoContext(ctx, "serving with TLS", "listen", listener.Addr().String())
	case want.control:
		e.logger.InfoContext(ctx, "serving the control plane", "url", baseURL(listener.Addr()).String())
	case want.probes:
		e.logger.InfoContext(ctx, "serving probes and metrics", "url", baseURL(listener.Addr()).String())
	case want.peers:
		e.logger.InfoContext(ctx, "serving the other replicas", "url", baseURL(listener.Addr()).String())
	case want.door != "":
		e.logger.InfoContext(ctx, "serving a service", "url", baseURL(listener.Addr()).String(), "service", want.door)
	case want.neighbour != "":
		e.logger.InfoContext(ctx, "serving a neighbour", "url", baseURL(listener.Addr()).String(), "neighbour", want.neighbour)
	case want.instance == "" && len(e.sites.open) > 0:
		e.logger.InfoContext(ctx, "serving at the address of Google's metadata server", "listen", listener.Addr().String())
	case len(e.sites.open) > 0:
		e.logger.InfoContext(ctx, "serving an instance", "url", baseURL(listener.Addr()).String(), "instance", want.instance)
	}
	e.sites.open = append(e.sites.open, &site{Listener: listener, address: want, done: make(chan struct{})})
	return nil
}

// move closes instances' addresses that are not in wanted, and opens new ones. If it cannot open an
// address, it skips the address.
func (e *emulator) move(ctx context.Context, wanted []address) {
	own, others := e.sites.open[:1:1], e.sites.open[1:]
	e.sites.open = own
	for _, one := range others {
		if slices.Contains(wanted, one.address) {
			e.sites.open = append(e.sites.open, one)
			continue
		}
		one.stop()
		<-one.done // another site may need the address
	}
	for _, want := range wanted {
		if slices.ContainsFunc(e.sites.open[1:], func(one *site) bool { return one.address == want }) {
			continue
		}
		if err := e.openOne(ctx, want); err != nil {
			switch {
			case want.door != "":
				e.logger.ErrorContext(ctx, "cannot open a service's own address", "service", want.door, "error", err)
			case want.neighbour != "":
				e.logger.ErrorContext(ctx, "cannot open a neighbour's own address", "neighbour", want.neighbour, "error", err)
			default:
				e.logger.ErrorContext(ctx, "cannot open an instance's own address", "instance", want.instance, "error", err)
			}
			continue
		}
		e.answer(ctx, e.sites.open[len(e.sites.open)-1])
	}
	e.sites.publish()
}

// follow moves to the addresses of a new world.
func (e *emulator) follow(ctx context.Context, w *world.World) {
	if w == e.served || ctx.Err() != nil {
		return
	}
	e.served = w
	wanted, err := e.plan(w)
	switch {
	case err != nil:
		e.logger.ErrorContext(ctx, "cannot plan new addresses; keeping the old ones", "error", err)
	case !slices.Equal(wanted, e.wanted):
		e.wanted = wanted
		e.move(ctx, wanted[1:])
	}
}

// answer serves a site until ctx ends or the site is stopped.
func (e *emulator) answer(ctx context.Context, one *site) {
	ctx, one.stop = context.WithCancel(ctx)
	e.sites.serving++
	var listener net.Listener = one
	switch {
	case one.secure:
		listener = e.server.TLS(one)
	case one.client != nil:
		listener = e.server.MutualTLS(one, one.client.Pool())
	}
	go func() {
		switch {
		case one.control:
			one.err = e.server.ServeControl(ctx, listener)
		case one.probes:
			one.err = e.server.ServeProbes(ctx, listener)
		case one.peers:
			one.err = e.server.ServePeers(ctx, listener)
		case one.door != "":
			one.err = e.server.ServeDoor(ctx, listener, one.door)
		case one.neighbour != "":
			one.err = e.server.ServeNeighbour(ctx, listener, one.neighbour)
		case one.instance != "":
			one.err = e.server.ServeInstance(ctx, listener, one.instance)
		default:
			one.err = e.server.Serve(ctx, listener)
		}
		one.stop()
		close(one.done)
		e.sites.over <- one
	}()
}

// noInstance is the error for an unknown instance; its hint lists the known ones.
func noInstance(name string, known []string) error {
	return &hintError{
		message: fmt.Sprintf("there is no instance %q", name),
		hint:    "use one of: " + strings.Join(known, ", "),
	}
}

// serve serves all addresses until ctx ends or one of them fails. It reloads on SIGHUP and when
// watched files change.
func (e *emulator) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer e.watch.Close()
	for _, one := range e.sites.open {
		e.answer(ctx, one)
	}
	var first error
	for e.sites.serving > 0 {
		current := e.server.World()
		e.follow(ctx, current.State)
		select {
		case <-current.Changed:
		case one := <-e.sites.over:
			e.sites.serving--
			if !slices.Contains(e.sites.open, one) {
				continue // it was stopped on purpose
			}
			if first == nil {
				first = one.err
			}
			cancel()
		case <-e.hangUps:
			e.reload(ctx, hangUp)
		case <-e.watch.Changed():
			e.reload(ctx, changed)
		case found := <-e.reloads.results:
			e.reloaded(ctx, found)
		}
	}
	return first
}
