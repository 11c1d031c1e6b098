// Package emulatortest starts an emulator for the tests of the emulator's own packages: at a fixed
// time, with the worlds of server/testdata, and with calls that return the exact bytes of an answer.
//
// The tests of a surface are in the package of the surface. If they need the routes, the guard or a
// second surface, they start an emulator with this package. Package servertest is for the tests of
// other programs: its clock runs, and its methods hide the wire.
package emulatortest

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/world/worldtest"
)

// Noon returns the time at which emulators start and stay.
func Noon() time.Time { return time.Date(2026, time.November, 21, 12, 0, 0, 0, time.UTC) }

// Names in fixture.yaml.
const (
	Worker    = "worker@demo-project.iam.gserviceaccount.com"
	WorkerID  = "100000000000000000002"
	Target    = "target@demo-project.iam.gserviceaccount.com"
	TargetID  = "100000000000000000003"
	Default   = "123456789012-compute@developer.gserviceaccount.com"
	DefaultID = "100000000000000000001"
)

// Scopes.
const (
	Platform = "https://www.googleapis.com/auth/cloud-platform"
	Drive    = "https://www.googleapis.com/auth/drive"
)

// AccountsPath is the path of the project's service accounts in the IAM API.
const AccountsPath = "/v1/projects/demo-project/serviceAccounts"

// AttachedPath is the path of an instance's service accounts in the metadata server.
const AttachedPath = "/computeMetadata/v1/instance/service-accounts/"

// Email returns the address of a service account of the project by its name.
func Email(name string) string { return name + "@demo-project.iam.gserviceaccount.com" }

// Emulator is an emulator that serves until its test ends.
type Emulator struct {
	*server.Server

	URL     string
	Address string
	Keys    *keys.Ring

	web *httptest.Server
}

// New starts an emulator of the world in fixture.yaml.
func New(t *testing.T) *Emulator {
	t.Helper()
	return NewOf(t, Fixture(t), func(*server.Config) {})
}

// NewStrict starts an emulator that enforces the policies of the world in strict.yaml.
func NewStrict(t *testing.T) *Emulator {
	t.Helper()
	return NewOf(t, StrictFixture(t), func(config *server.Config) { config.IAM = guard.Enforce })
}

// Fixture returns the files of a world that uses every section of a fixture.
func Fixture(t *testing.T) fixtures.Files {
	t.Helper()
	return fixtures.Files{Fixture: worldtest.Testdata(t, "fixture.yaml")}
}

// StrictFixture returns the files of a world with policies that allow some callers some methods.
func StrictFixture(t *testing.T) fixtures.Files {
	t.Helper()
	return fixtures.Files{Fixture: worldtest.Testdata(t, "strict.yaml")}
}

// NewOf starts an emulator of the given files, with a configuration that the test changes.
func NewOf(t *testing.T, files fixtures.Files, change func(*server.Config)) *Emulator {
	t.Helper()
	emulated := clock.New(time.Now)
	emulated.Freeze()
	if err := emulated.Set(Noon()); err != nil {
		t.Fatal(err)
	}
	var own hostname.Pattern
	if err := own.UnmarshalText([]byte("emulator.test")); err != nil {
		t.Fatal(err)
	}
	config := server.Config{
		World:  worldtest.Load(t, files),
		Keys:   worldtest.Ring(emulated.Now),
		Clock:  emulated,
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),

		AllowedHosts: []hostname.Pattern{own},
		InstanceURLs: func() map[string]string { return map[string]string{"other-vm": "http://127.0.0.1:18255"} },
	}
	change(&config)
	e := &Emulator{Server: server.New(config), Keys: config.Keys}
	e.web = httptest.NewUnstartedServer(e.Server)
	e.web.Config.Protocols = new(http.Protocols)
	e.web.Config.Protocols.SetHTTP1(true)
	e.web.Config.Protocols.SetUnencryptedHTTP2(true)
	e.web.Start()
	e.URL, e.Address = e.web.URL, e.web.Listener.Addr().String()
	t.Cleanup(e.web.Close)
	return e
}

// Unserved makes an emulator without a listener. Its clock follows the machine's clock, or the clock of
// a test's bubble. Its world is the world of the fixture, or the default world if the text is empty.
func Unserved(t testing.TB, yaml string) *server.Server {
	t.Helper()
	emulated := clock.New(time.Now)
	s := server.New(server.Config{
		World: worldtest.Parse(t, yaml), Keys: worldtest.Ring(emulated.Now), Clock: emulated,
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	t.Cleanup(s.Events.Clear)
	return s
}

// Must returns the result of a call that must succeed.
func Must[T any](t testing.TB) func(T, error) T {
	t.Helper()
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}
