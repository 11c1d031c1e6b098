// Package servertest runs the emulator inside a Go test.
//
//	emu := servertest.New(t)
//
// starts an emulator on a free port. It ends with the test. Any number of emulators can run in
// parallel in one process, each with its own world, clock and keys; only [Instance.Setenv] changes
// the state of the process. A program under test reaches the emulator in one of three ways:
//
//   - [Emulator.Client] and [Emulator.GRPC] return clients that find Google's host names at the
//     emulator, for libraries that accept a client;
//   - [Instance.Setenv] sets the environment that leads unmodified libraries to a metadata server;
//   - [Emulator.CredentialsFile] writes a credential file that leads to the emulator.
//
// The methods do the same as the control plane. If the control plane would answer with an error,
// they end the test with [testing.TB.Fatalf]. They are safe for concurrent use, but outside the
// test's goroutine Fatalf only marks the test as failed and ends the calling goroutine. Do not call
// a method after the test has ended.
//
// Some packages look for a metadata server once and remember the result as long as the process
// lives, as cloud.google.com/go/compute/metadata does in OnGCE. A test that needs the opposite
// result needs its own process.
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
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/world"
)

// Emulator is an emulator that runs until its test ends.
type Emulator struct {
	Instance // the default instance; its URL serves all surfaces

	server  *server.Server
	keys    *keys.Ring
	secure  net.Addr // the address with TLS
	client  *http.Client
	control *http.Client // separate from client, which the test may change

	closeIdle func() // for both transports, as they were made

	serving context.Context //nolint:containedctx // ends when the emulator does
	serves  sync.WaitGroup

	mu        sync.Mutex
	instances map[string]*Instance // instances that have an address
	doors     map[string]*Door     // by the names of their services
}

// config holds the settings that options change.
type config struct {
	fixture *fixtures.Fixture
	mistake error // in the fixture
	mode    guard.Mode
	ring    func(now func() time.Time) *keys.Ring
}

// Option changes the emulator that New starts. A later option overrides an earlier one.
type Option func(*config)

// Fixture sets the world to emulate: a result of fixtures.Default, Load or Parse, changed or not.
func Fixture(f *fixtures.Fixture) Option { return func(c *config) { c.fixture, c.mistake = f, nil } }

// YAML sets the world to emulate, as the text of a fixture. Files that it names are relative to
// the test's directory.
func YAML(text string) Option {
	return func(c *config) { c.fixture, c.mistake = fixtures.Parse("the fixture", []byte(text), "") }
}

// Strict makes the emulator enforce IAM policies and refuse bearer tokens that it did not issue.
func Strict() Option { return func(c *config) { c.mode = guard.Enforce } }

// OwnKeys gives the emulator private keys that no other emulator in the process has. Without it,
// emulators share private keys, because generating one takes a tenth of a second or more. Key IDs
// and certificates always differ.
func OwnKeys() Option {
	return func(c *config) {
		c.ring = func(now func() time.Time) *keys.Ring { return keys.NewStock().NewRing(now) }
	}
}

// sharedKeys holds the private keys of all emulators in the process, to save time. Emulators do
// not notice the sharing.
var sharedKeys = sync.OnceValue(keys.NewStock) //nolint:gochecknoglobals // tests share no other place to keep them

// shutdownTimeout limits how long a stopping emulator waits for a client that has sent half a
// request.
const shutdownTimeout = 100 * time.Millisecond

// New starts an emulator that stops when the test ends.
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
		t.Fatal("servertest: the fixture has no instance\nhint: start from fixtures.Default or fixtures.Parse, which fill in defaults")
	}
	w, err := world.Checked(c.fixture)
	if err != nil {
		t.Fatalf("servertest: %v", err)
	}
	emulated := clock.New(time.Now)
	e := &Emulator{keys: c.ring(emulated.Now), instances: map[string]*Instance{}, doors: map[string]*Door{}}
	e.keys.Certify(hostname.DomainsOf(w.UniverseDomain), hostname.MetadataAddresses()...)
	e.server = server.New(server.Config{
		World: w, Keys: e.keys, Clock: emulated, IAM: c.mode, InstanceURLs: e.instanceURLs, DoorURLs: e.doorURLs,
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

// serve serves at a new address, and returns it.
func (e *Emulator) serve(serve func(context.Context, net.Listener) error) net.Addr {
	e.t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(e.serving, "tcp", "127.0.0.1:0")
	if err != nil {
		e.t.Fatalf("servertest: open an address: %v", err)
	}
	e.serves.Go(func() {
		if err := serve(e.serving, listener); err != nil {
			e.t.Errorf("servertest: stopped serving: %v", err)
		}
	})
	return listener.Addr()
}

// stop stops the emulator and waits for all its goroutines.
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

// InstanceNamed returns the instance with this name. The first call gives the instance its own
// address for its metadata server.
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
