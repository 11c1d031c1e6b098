package record_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/record"
	"gcp-metadata-emulator/server/world/worldtest"
)

// timeline returns documents of a server, one after the other. They also differ in ways in which no VM
// differs.
func timeline() []map[string]any {
	account := func(email string, more ...any) map[string]any {
		return map[string]any{"serviceAccounts": map[string]any{"default": map[string]any{"aliases": []any{"default"}, "email": email, "scopes": append([]any{}, more...)}}}
	}
	emptied := vm(map[string]any{}, nil)
	delete(emptied, "project")
	renamed := vm(map[string]any{}, map[string]any{"name": "other-vm", "id": 17, "zone": "projects/43/zones/us-east1-c"})
	elsewhere := vm(map[string]any{}, nil)
	elsewhere["project"] = map[string]any{"projectId": "other-project", "numericProjectId": 43, "attributes": map[string]any{"p": "q"}}
	return []map[string]any{
		vm(map[string]any{"a": "b"}, nil),
		vm(map[string]any{"a": "c", "d": "e"}, map[string]any{"maintenanceEvent": "MIGRATE_ON_HOST_MAINTENANCE"}),
		vm(map[string]any{}, map[string]any{"preempted": "TRUE"}),
		vm(map[string]any{}, map[string]any{"novelty": map[string]any{"deep": []any{map[string]any{"er": true}, 1.5}}}),
		vm(map[string]any{}, map[string]any{"novelty": "a text", "machineType": 7, "networkInterfaces": "none"}),
		vm(map[string]any{}, map[string]any{"networkInterfaces": []any{map[string]any{"ip": "10.0.0.2"}, map[string]any{"ip": "10.0.0.3"}}}),
		vm(map[string]any{}, map[string]any{"networkInterfaces": []any{map[string]any{"novelty": []any{[]any{}}}}}),
		vm(map[string]any{}, account("worker@some-project.iam.gserviceaccount.com", "https://www.googleapis.com/auth/cloud-platform")),
		vm(map[string]any{}, account("other@some-project.iam.gserviceaccount.com")),
		emptied, renamed, elsewhere,
		{"instance": map[string]any{}, "universe": map[string]any{"universeDomain": "example.com"}, "novelty": map[string]any{"x": "y"}},
		vm(map[string]any{"a": "b"}, nil),
	}
}

// An emulator plays every change of a recorded server, at its time.
func TestOddChangesArePlayed(t *testing.T) {
	t.Parallel()
	documents := timeline()
	d := newDouble()
	d.header = http.Header{"ETag": {"00c61b00c61b00c6"}}
	d.tree, d.changes = documents[0], documents[1:]
	ctx, cancel := context.WithCancel(t.Context())
	d.asked = func(r *http.Request) {
		if r.URL.Query().Has("wait_for_change") && len(d.changes) == 0 {
			cancel()
			<-r.Context().Done()
		}
	}
	served := httptest.NewServer(d)
	defer served.Close()
	recording, err := record.Run(ctx, record.Options{
		Real: emulatortest.Must[*url.URL](t)(url.Parse(served.URL)), For: time.Hour, Secrets: true, Limit: 100, Now: ticking(),
	})
	if err != nil || recording.Unplayable != nil || recording.Changes != len(documents)-1 {
		t.Fatalf("%d changes are recorded of %d: %v %v", recording.Changes, len(documents)-1, err, recording.Unplayable)
	}
	dir := written(t, recording)
	f := emulatortest.Must[*fixtures.Fixture](t)(fixtures.Load(filepath.Join(dir, fixtures.RecordedFixture)))
	again := emulatortest.NewOf(t, fixtures.Files{Recording: dir}, func(config *server.Config) {
		config.Clock = clock.New(time.Now)
		config.Clock.Freeze() // before the scenario begins
		config.Keys = worldtest.Ring(config.Clock.Now)
	})
	var now time.Duration
	for i, document := range documents {
		if i > 0 {
			at := time.Duration(f.Instances[0].Scenario[i-1].At)
			if err := again.Clock.Advance(at - now); err != nil {
				t.Fatal(err)
			}
			now = at
		}
		_, body := again.Metadata(t, "?recursive=true")
		if diff := cmp.Diff(decoded(t, string(emulatortest.Must[[]byte](t)(json.Marshal(document)))), decoded(t, body)); diff != "" {
			t.Errorf("after change %d (-recorded +played):\n%s", i, diff)
		}
	}
}

// ticking returns a clock that is a second later whenever it is read.
func ticking() func() time.Time {
	var seconds atomic.Int64
	return func() time.Time { return time.Unix(1790000000+seconds.Add(1), 0) }
}

func decoded(t *testing.T, text string) (document map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	return document
}

// Entries that no fixture can have are not played, and stay among the answers.
func TestOddEntriesAreLeftOut(t *testing.T) {
	t.Parallel()
	d := newDouble()
	d.tree = vm(map[string]any{"a b": "odd name", "fine": "x"}, map[string]any{"void": nil, "list": []any{nil, "y"}, "machine-type": "twice"})
	served := httptest.NewServer(d)
	defer served.Close()
	recording, err := record.Run(t.Context(), record.Options{Real: emulatortest.Must[*url.URL](t)(url.Parse(served.URL)), Secrets: true, Limit: 60, Now: time.Now})
	if err != nil || recording.Unplayable != nil {
		t.Fatal(err, recording.Unplayable)
	}
	answer := httptest.NewRecorder()
	d.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/computeMetadata/v1/?recursive=true", nil))
	if diff := cmp.Diff(answer.Body.String(), string(recording.Files[record.TreeFile])); diff != "" || len(recording.Dropped) != 4 {
		t.Errorf("%d entries are dropped (-answered +recorded):\n%s", len(recording.Dropped), diff)
	}
	again := emulate(t, fixtures.Files{Recording: written(t, recording)})
	if _, body := again.Metadata(t, "instance/attributes/?recursive=true"); body != `{"fine":"x"}` {
		t.Errorf("the attributes are %s", body)
	}
	if !strings.Contains(string(recording.Files[record.ExchangesFile]), "odd name") {
		t.Error("the answers lack an odd name")
	}
}

// Equal secrets get equal names, and different secrets different names.
func TestNamesOfSecrets(t *testing.T) {
	t.Parallel()
	d := newDouble()
	d.tree = vm(map[string]any{"one": "pa55word", "two": "pa55word", "three": "pa55words"}, map[string]any{"description": "pa55word"})
	d.header = http.Header{"X-Novelty": {"pa55words"}}
	served := httptest.NewServer(d)
	defer served.Close()
	recording, err := record.Run(t.Context(), record.Options{Real: emulatortest.Must[*url.URL](t)(url.Parse(served.URL)), Limit: 60, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	instance, _ := decoded(t, string(recording.Files[record.TreeFile]))["instance"].(map[string]any)
	attributes, _ := instance["attributes"].(map[string]any)
	if attributes["one"] != attributes["two"] || attributes["one"] != instance["description"] || attributes["one"] == attributes["three"] {
		t.Errorf("the instance is %v", instance)
	}
	if want := fmt.Sprintf("X-Novelty: %s\n", attributes["three"]); !strings.Contains(string(recording.Files[record.ExchangesFile]), want) {
		t.Errorf("no answer has %q", want)
	}
}
