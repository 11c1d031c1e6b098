// Package servertest is the emulator inside a Go test.
//
//	emu := servertest.New(t)
//
// starts one on a free port, which ends with the test. Any number run in parallel in one
// process, each with a world, a clock and keys of its own; nothing but [Instance.Setenv] touches
// what they share with the rest of the process. A program under test reaches it in one of
// three ways:
//
//   - [Emulator.Client] and [Emulator.GRPC] make clients that find Google's own host names
//     here, for libraries that take one;
//   - [Instance.Setenv] sets the environment by which unmodified libraries find a metadata server;
//   - [Emulator.CredentialsFile] writes a credential file that leads here.
//
// The methods arrange, break, wind forward and ask; they do what the control plane does, and
// end the test where it would have answered with an error. They are safe for concurrent use. But a
// method that ends the test does so as [testing.TB.Fatalf], and so can be relied on in the goroutine of
// the test alone: in another one it marks the test as failed and ends that goroutine, and nobody else
// is told. None may be called when the test is over.
//
// Packages that look for a metadata server remember what they have found for as long as the process
// lives, as cloud.google.com/go/compute/metadata does in OnGCE: a test that is to be told there is
// none needs a process of its own.
package servertest

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/world"
)

// Emulator is one that runs until its test ends.
type Emulator struct {
	Instance // the default one; its URL is that of everything

	server  *server.Server
	keys    *keys.Ring
	secure  net.Addr // where it serves with TLS
	client  *http.Client
	control *http.Client // of the fixture alone, whatever a test makes of the other one

	closeIdle func() // of both clients, as they were made

	serving context.Context //nolint:containedctx // it is when the emulator ends
	serves  sync.WaitGroup

	mu        sync.Mutex
	instances map[string]*Instance // those that have got an address
}

// config is what options change.
type config struct {
	fixture *fixtures.Fixture
	mistake error // of the fixture
	strict  bool
	ring    func(now func() time.Time) *keys.Ring
}

// Option changes the emulator that New starts. Of two that say different things, the later one
// counts.
type Option func(*config)

// Fixture is the world to emulate, as fixtures.Default, Load or Parse have returned it, or changed.
func Fixture(f *fixtures.Fixture) Option { return func(c *config) { c.fixture, c.mistake = f, nil } }

// YAML is the world to emulate, as a fixture's text. Files that it names are found relative to the
// directory of the test.
func YAML(text string) Option {
	return func(c *config) { c.fixture, c.mistake = fixtures.Parse("the fixture", []byte(text), "") }
}

// Strict makes the emulator enforce IAM policies, and refuse bearer tokens that are not its own.
func Strict() Option { return func(c *config) { c.strict = true } }

// OwnKeys gives the emulator private keys that no other one in the process has. Otherwise they share
// them, because making one takes a tenth of a second and more; key IDs and certificates are
// always an emulator's own.
func OwnKeys() Option {
	return func(c *config) {
		c.ring = func(now func() time.Time) *keys.Ring { return keys.NewStock().NewRing(now) }
	}
}

// sharedKeys are the private keys of all emulators of the process. They are nothing but a
// saving: which emulator has taken which is seen by none.
var sharedKeys = sync.OnceValue(keys.NewStock) //nolint:gochecknoglobals // tests have nothing else in common to keep them in

// shutdownTimeout is how long an emulator is at the most in the way of a test that has ended, if a client has left a request
// half sent.
const shutdownTimeout = 100 * time.Millisecond

// New starts an emulator that is stopped when the test ends.
func New(t testing.TB, options ...Option) *Emulator {
	t.Helper()
	c := config{fixture: fixtures.Default(), ring: sharedKeys().NewRing}
	for _, option := range options {
		option(&c)
	}
	if c.mistake != nil {
		t.Fatalf("servertest: %v", c.mistake)
	}
	if len(c.fixture.Instances) == 0 {
		t.Fatal("servertest: the fixture has no instance\nhint: begin with fixtures.Default or fixtures.Parse, which complete what is left out")
	}
	w, err := world.Checked(c.fixture)
	if err != nil {
		t.Fatalf("servertest: %v", err)
	}
	emulated := clock.New(time.Now)
	e := &Emulator{keys: c.ring(emulated.Now), instances: map[string]*Instance{}}
	e.keys.Certify(hostname.Domains())
	e.server = server.New(server.Config{
		World: w, Keys: e.keys, Clock: emulated, Strict: c.strict, InstanceURLs: e.instanceURLs,
		ShutdownTimeout: shutdownTimeout,
		Logger:          slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	e.Instance = Instance{t: t, emulator: e, name: defaultInstance}
	serving, stop := context.WithCancel(context.Background())
	e.serving = serving
	google, control := e.newTransport(), &http.Transport{MaxIdleConnsPerHost: maxIdleConns}
	e.client, e.control = &http.Client{Transport: google}, &http.Client{Transport: control}
	e.closeIdle = func() {
		google.CloseIdleConnections()
		control.CloseIdleConnections()
	}
	t.Cleanup(func() { e.stop(stop) })

	e.URL = "http://" + e.serve(e.server.Serve).String()
	e.secure = e.serve(func(ctx context.Context, listener net.Listener) error {
		return e.server.Serve(ctx, e.server.TLS(listener))
	})
	return e
}

// serve serves at an address of its own, which it returns.
func (e *Emulator) serve(serve func(context.Context, net.Listener) error) net.Addr {
	e.t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(e.serving, "tcp", "127.0.0.1:0")
	if err != nil {
		e.t.Fatalf("servertest: open an address: %v", err)
	}
	e.serves.Go(func() {
		if err := serve(e.serving, listener); err != nil {
			e.t.Errorf("servertest: serving has ended: %v", err)
		}
	})
	return listener.Addr()
}

// stop ends the emulator, and waits for all that runs for it.
func (e *Emulator) stop(stop context.CancelFunc) {
	e.closeIdle()
	stop()
	e.serves.Wait()
	e.server.Events.Clear()
	e.keys.Wait()
}

func (e *Emulator) instanceURLs() map[string]string {
	e.mu.Lock()
	defer e.mu.Unlock()
	urls := map[string]string{}
	for name, instance := range e.instances {
		urls[name] = instance.URL
	}
	return urls
}

// InstanceNamed is an instance of the world by its name. The first call gives it an address of its
// own, at which its metadata server answers.
func (e *Emulator) InstanceNamed(name string) *Instance {
	e.t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	known, ok := e.instances[name]
	if ok {
		return known
	}
	if _, exists := e.server.World().State.Instance(name); !exists {
		e.t.Fatalf("servertest: there is no instance %q", name)
	}
	address := e.serve(func(ctx context.Context, listener net.Listener) error {
		return e.server.ServeInstance(ctx, listener, name)
	})
	known = &Instance{URL: "http://" + address.String(), t: e.t, emulator: e, name: name}
	e.instances[name] = known
	return known
}
