package compare_test

import (
	"context"
	"log/slog"
	"net/url"
	"os"
	"testing"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/compare"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/script"
	"gcp-metadata-emulator/server/world/worldtest"
)

// The emulator does not differ from itself, for any kind of workload.
func TestSelf(t *testing.T) {
	t.Parallel()
	const attributes = "{instance: {attributes: {some-key: some value, other: '<a>'}}}"
	for profile, metadata := range map[string]string{"gce": attributes, "gke": attributes, "cloud-run": "{}", "cloud-functions": "{}", "app-engine": "{}"} {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			e := emulate(t, "instances: [{name: some-vm, profile: "+profile+", metadata: "+metadata+"}]")
			options := options(t, e.URL)
			options.Profile = fixtures.Profile(profile)
			report, err := compare.Run(t.Context(), options)
			if err != nil {
				t.Fatal(err)
			}
			if report.Profile != profile {
				t.Errorf("the server is compared as one of the profile %q", report.Profile)
			}
			for _, d := range report.Differences {
				t.Errorf("%+v", d)
			}
			if report.LeftOut > 0 || report.Requests < 50 {
				t.Errorf("%d requests, and %d left out", report.Requests, report.LeftOut)
			}
		})
	}
}

// options compares the server at a URL with an emulator.
func options(t *testing.T, at string) compare.Options {
	t.Helper()
	return compare.Options{
		Real:    emulatortest.Must[*url.URL](t)(url.Parse(at)),
		Scripts: emulatortest.Must[[]script.Script](t)(script.Read(os.DirFS("../testdata/wire"), "mds.*.txtar")),
		Emulate: func(_ context.Context, fixture []byte) (*url.URL, error) {
			return url.Parse(emulate(t, string(fixture)).URL) //nolint:contextcheck // it ends with the test
		},
		Limit: compare.MaxRequests, Now: time.Now,
	}
}

// emulate starts an emulator of a fixture that answers for every Host.
func emulate(t *testing.T, fixture string) *emulatortest.Emulator {
	t.Helper()
	return emulatortest.NewOf(t, fixtures.Files{Fixture: "fixture", Text: []byte(fixture)}, func(config *server.Config) {
		config.AllowedHosts = []hostname.Pattern{hostname.Any()}
		config.Clock = clock.New(time.Now) // a check waits
		config.Keys = worldtest.Ring(config.Clock.Now)
		config.Logger = slog.New(slog.DiscardHandler) // hundreds of refusals
	})
}
