package record_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/record"
)

// A watch of a server that changes too often says how much of the time it lacks.
func TestTooManyChanges(t *testing.T) {
	t.Parallel()
	d := newDouble()
	d.header = http.Header{"ETag": {"00c61b00c61b00c6"}}
	for i := range record.MaxChanges + 2 {
		d.changes = append(d.changes, vm(map[string]any{"count": i}, nil))
	}
	const while = 3 * time.Hour
	recording := recorded(t, d, record.Options{For: while, Secrets: true, Limit: 60, Now: ticking()})
	if recording.Changes != record.MaxChanges || recording.Unwatched <= 0 || recording.Unwatched >= while {
		t.Errorf("%d changes are recorded, %s are not watched", recording.Changes, recording.Unwatched)
	}
}

// A watch goes on after more requests than the limit for the time before. The requests are a while apart.
func TestPaceOfAWatch(t *testing.T) {
	t.Parallel()
	const changes, pace, limit = 12, 20 * time.Millisecond, 9
	d := newDouble()
	d.header = http.Header{"ETag": {"00c61b00c61b00c6"}}
	for i := range changes {
		d.changes = append(d.changes, vm(map[string]any{"count": i}, nil))
	}
	ctx, cancel := context.WithCancel(t.Context())
	d.asked = func(r *http.Request) {
		if r.URL.Query().Has("wait_for_change") && len(d.changes) == 0 {
			cancel()
		}
	}
	began := time.Now()
	recording := recordedBy(ctx, t, d, record.Options{For: time.Hour, Secrets: true, Limit: limit, Pace: pace, Now: time.Now})
	if took := time.Since(began); recording.Changes != changes || took < (changes-1)*pace || recording.Unwatched != 0 {
		t.Errorf("%d changes are recorded within %s", recording.Changes, took)
	}
}

// If the limit leaves no room for everything, every value is asked for before any is asked for in another form.
func TestValuesComeFirst(t *testing.T) {
	t.Parallel()
	d := newDouble()
	attributes := map[string]any{}
	for i := range 50 {
		attributes[fmt.Sprintf("key-%02d", i)] = "true"
	}
	d.tree = vm(attributes, nil)
	recording := recorded(t, d, record.Options{Limit: 80, Now: time.Now})
	if recording.LeftOut == 0 || recording.Requests != 80 {
		t.Errorf("%d requests are left out after %d", recording.LeftOut, recording.Requests)
	}
	text := string(recording.Files[record.ExchangesFile])
	for name := range attributes {
		if !strings.Contains(text, "GET /computeMetadata/v1/instance/attributes/"+name+"\n") {
			t.Errorf("no request is for %q", name)
		}
	}
	files := txtar.Parse([]byte(text)).Files
	if !slices.ContainsFunc(files, func(f txtar.File) bool { return strings.Contains(string(f.Data), "?alt=json") }) {
		t.Error("the room that is left is not used")
	}
}

// recorded records a double.
func recorded(t *testing.T, d *double, options record.Options) record.Recording {
	t.Helper()
	return recordedBy(t.Context(), t, d, options)
}

func recordedBy(ctx context.Context, t *testing.T, d *double, options record.Options) record.Recording {
	t.Helper()
	served := httptest.NewServer(d)
	defer served.Close()
	options.Real = emulatortest.Must[*url.URL](t)(url.Parse(served.URL))
	return emulatortest.Must[record.Recording](t)(record.Run(ctx, options))
}
