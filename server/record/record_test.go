package record_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/compare"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/mds"
	"gcp-metadata-emulator/server/record"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/script"
	"gcp-metadata-emulator/server/world/worldtest"
)

// An emulator of a recording does not differ from the recorded server.
func TestRecordedIsTheSame(t *testing.T) {
	t.Parallel()
	const attributes = "{instance: {attributes: {some-key: some value, other: '<a>'}, tags: [web]}}"
	for _, row := range []struct {
		profile, metadata string
		secrets           bool
	}{{"gce", attributes, true}, {"gce", "{}", false}, {"gke", "{}", false}, {"cloud-run", "{}", false}, {"cloud-functions", "{}", false}, {"app-engine", "{}", false}} {
		t.Run(row.profile, func(t *testing.T) {
			t.Parallel()
			profile, metadata := row.profile, row.metadata
			original := emulate(t, fixtures.Files{Fixture: "fixture", Text: []byte("instances: [{name: some-vm, profile: " + profile + ", metadata: " + metadata + "}]")})
			recording := runAs(t.Context(), t, original, record.Options{Profile: fixtures.Profile(profile), Secrets: row.secrets})
			if recording.Redacted != 0 || recording.LeftOut != 0 {
				t.Errorf("%d values are redacted, and %d requests left out, after %d", recording.Redacted, recording.LeftOut, recording.Requests)
			}
			if want := `"profile": "` + profile + `"`; !strings.Contains(string(recording.Files[fixtures.RecordedFixture]), want) {
				t.Errorf("the fixture lacks %s: %s", want, recording.Files[fixtures.RecordedFixture])
			}
			again := emulate(t, fixtures.Files{Recording: written(t, recording)})
			report, err := compare.Run(t.Context(), compare.Options{
				Real: at(t, original), Scripts: scripts(t), Profile: fixtures.Profile(profile), Limit: 400, Now: time.Now,
				Emulate: func(context.Context, []byte) (*url.URL, error) { return at(t, again), nil },
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range report.Differences {
				t.Errorf("%+v", d)
			}
		})
	}
}

// If a server changes while it is recorded, the emulator plays the change at its time.
func TestChangesAreAScenario(t *testing.T) {
	t.Parallel()
	original := emulate(t, fixtures.Files{Fixture: "fixture", Text: []byte("instances: [{name: some-vm, metadata: {instance: {attributes: {gone: x, stays: y}}}}]")})
	const entries = "/emulator/v1/instances/-/metadata/instance/attributes/"
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel() // what was seen so far is recorded
		since := original.awaitWaiter(t, time.Time{})
		original.Call(t, "PUT", entries+"new", `{"value": "added"}`)
		since = original.awaitWaiter(t, since)
		original.Call(t, "DELETE", entries+"gone", "")
		original.awaitWaiter(t, since)
	}()
	recording := run(ctx, t, original, time.Hour, true)
	if recording.Changes != 2 || !strings.Contains(string(recording.Files["change-1.json"]), `"new":"added"`) || strings.Contains(string(recording.Files["change-2.json"]), "gone") {
		t.Fatalf("%d changes are recorded: %s", recording.Changes, recording.Files["change-2.json"])
	}
	again := emulate(t, fixtures.Files{Recording: written(t, recording)})
	if err := again.Clock.Advance(time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, body := again.Metadata(t, "instance/attributes/?recursive=true"); body != `{"new":"added","stays":"y"}` {
		t.Errorf("after the scenario the attributes are %s", body)
	}
}

// Secrets do not come into any file, unless the user wants them.
func TestSecrets(t *testing.T) {
	t.Parallel()
	planted := map[string]string{
		"db-password":    "hunter2 & co",
		"my-token":       "abcdefgh",
		"startup-script": "curl -H 'Authorization: Bearer ya29.c.planted-access' x\nexport KEY=AIza0123456789012345678901234567890abcd\n",
		"tls":            "-----BEGIN RSA PRIVATE KEY-----\nMIIEplanted\n-----END RSA PRIVATE KEY-----\n",
		"kube-env":       "CA_KEY: planted-ca",
		"windows-keys":   `{"modulus":"planted-modulus"}`,
		"greeting":       "no secret",
		"enable-oslogin": "TRUE",
		"short":          "letmein",
		"session":        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2lnbmF0dXJl",
		"cluster-name":   "kept-value",
		"other-password": "hunter2 & company",
	}
	attributes, err := json.Marshal(planted)
	if err != nil {
		t.Fatal(err)
	}
	fixture := `{"instances":[{"name":"some-vm","metadata":{"instance":{"attributes":` + string(attributes) + `}}}]}`
	original := emulate(t, fixtures.Files{Fixture: "fixture", Text: []byte(fixture)})
	hidden := []string{"hunter2", "company", "abcdefgh", "planted-access", "AIza0123", "MIIEplanted", "planted-ca", "planted-modulus", "no secret", "letmein", "c2lnbmF0dXJl"}
	open, closed := run(t.Context(), t, original, 0, true), run(t.Context(), t, original, 0, false)
	for _, secret := range hidden {
		for name, text := range closed.Files {
			if strings.Contains(string(text), secret) {
				t.Errorf("%s has the secret %q", name, secret)
			}
		}
		for _, name := range []string{record.TreeFile, record.ExchangesFile} {
			if !strings.Contains(string(open.Files[name]), secret) {
				t.Errorf("with secrets, %s lacks %q", name, secret)
			}
		}
	}
	for _, kept := range []string{`"enable-oslogin":"TRUE"`, `"cluster-name":"kept-value"`} {
		if !strings.Contains(string(closed.Files[record.TreeFile]), kept) {
			t.Errorf("the tree lacks %q", kept)
		}
	}
	again := emulate(t, fixtures.Files{Recording: written(t, closed)})
	if _, body := again.Metadata(t, "instance/attributes/db-password"); !strings.HasPrefix(body, "REDACTED-VALUE-") {
		t.Errorf("the password is served as %q", body)
	}
	if strings.Contains(string(open.Files[record.ExchangesFile]), "ya29.c.e") {
		t.Error("with secrets, the answers have an access token")
	}
	exchanges := txtar.Parse(closed.Files[record.ExchangesFile])
	if len(exchanges.Files) < 300 || strings.Contains(string(closed.Files[record.ExchangesFile]), "ya29.c.e") {
		t.Errorf("%d exchanges are recorded, maybe with a token", len(exchanges.Files)/2)
	}
}

func run(ctx context.Context, t *testing.T, e *emulator, while time.Duration, secrets bool) record.Recording {
	t.Helper()
	return runAs(ctx, t, e, record.Options{For: while, Secrets: secrets})
}

// runAs records an emulator as the command does.
func runAs(ctx context.Context, t *testing.T, e *emulator, options record.Options) record.Recording {
	t.Helper()
	options.Real, options.Scripts, options.Limit, options.Now = at(t, e), scripts(t), 400, time.Now
	return emulatortest.Must[record.Recording](t)(record.Run(ctx, options))
}

func at(t *testing.T, e *emulator) *url.URL {
	t.Helper()
	return emulatortest.Must[*url.URL](t)(url.Parse(e.URL))
}

func scripts(t *testing.T) []script.Script {
	t.Helper()
	return emulatortest.Must[[]script.Script](t)(server.MetadataScripts())
}

// written writes the files of a recording and returns their directory.
func written(t *testing.T, recording record.Recording) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range recording.Files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

type emulator struct{ *emulatortest.Emulator }

// awaitWaiter waits for a request that waits for a change and came after a time, and returns when it came.
func (e *emulator) awaitWaiter(t *testing.T, after time.Time) time.Time {
	t.Helper()
	var since time.Time
	err := e.AwaitWaiter(t.Context(), func(w mds.Waiter) bool { since = w.Since; return since.After(after) })
	if err != nil {
		t.Error(err)
	}
	return since
}

// emulate starts an emulator with a running clock.
func emulate(t *testing.T, files fixtures.Files) *emulator {
	t.Helper()
	return &emulator{emulatortest.NewOf(t, files, func(config *server.Config) {
		config.AllowedHosts = []hostname.Pattern{hostname.Any()}
		config.Logger = slog.New(slog.DiscardHandler)
		config.Clock = clock.New(time.Now)
		config.Keys = worldtest.Ring(config.Clock.Now)
	})}
}
