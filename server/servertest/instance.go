package servertest

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/event"
	"gcp-metadata-emulator/server/mds"
	"gcp-metadata-emulator/server/reach"
	"gcp-metadata-emulator/server/wildcard"
)

// Instance is an instance of the emulator, with its own metadata server.
type Instance struct {
	// URL is the base URL of the instance's metadata server, without a final slash. All other
	// surfaces answer there too.
	URL string

	t        testing.TB
	emulator *Emulator
	name     string // may be defaultInstance
}

// defaultInstance names the default instance in the control plane.
const defaultInstance = "-"

// Setenv sets the environment variables that lead client libraries and gcloud to the instance's
// metadata server, such as GCE_METADATA_HOST, and unsets variables that lead them elsewhere. The
// test restores the environment when it ends. Such a test cannot be parallel; see
// [testing.T.Setenv].
func (i *Instance) Setenv(t testing.TB) {
	t.Helper()
	at, err := url.Parse(i.URL)
	if err != nil {
		t.Fatalf("servertest: %v", err)
	}
	world := i.emulator.server.World().State
	target := reach.Target{
		URL: at, ProjectID: world.Project.ID, UniverseDomain: world.UniverseDomain, GcloudConfig: t.TempDir(),
		NoProxy: strings.Trim(os.Getenv("NO_PROXY")+","+os.Getenv("no_proxy"), ","),
	}
	for _, variable := range target.Variables() {
		t.Setenv(variable.Name, variable.Value)
	}
	for _, name := range target.Obstacles() {
		value, isSet := os.LookupEnv(name)
		if !isSet || !target.IsObstacle(name, value, target.Obstacles()) {
			continue
		}
		t.Setenv(name, "") // registers the restoration of the old value
		if err := os.Unsetenv(name); err != nil {
			t.Fatalf("servertest: %v", err)
		}
	}
	for _, file := range reach.UserFiles() {
		t.Logf("servertest: %s prefer %q to a metadata server; set HOME to another directory for them", file.Readers, file.Path)
	}
}

// Metadata returns a value as in the metadata server's JSON: a string, a [json.Number], a
// boolean, a list or a map. The path is relative to /computeMetadata/v1/.
func (i *Instance) Metadata(path string) any {
	i.t.Helper()
	var entry struct {
		Value any `json:"value"`
	}
	if err := i.emulator.ask(http.MethodGet, i.path("metadata/"+path), nil, &entry); err != nil {
		i.t.Fatalf("servertest: read metadata %q: %v", path, err)
	}
	return entry.Value
}

// SetMetadata sets a value: a string, a number, a boolean, a list, or a directory as a map. The
// path is relative to /computeMetadata/v1/. Requests that wait for a change of the entry are
// woken.
func (i *Instance) SetMetadata(path string, value any) {
	i.t.Helper()
	if _, err := i.emulator.call(http.MethodPut, i.path("metadata/"+path), map[string]any{"value": value}); err != nil {
		i.t.Fatalf("servertest: set metadata %q: %v", path, err)
	}
}

// DeleteMetadata removes an entry.
func (i *Instance) DeleteMetadata(path string) {
	i.t.Helper()
	if _, err := i.emulator.call(http.MethodDelete, i.path("metadata/"+path), nil); err != nil {
		i.t.Fatalf("servertest: delete metadata %q: %v", path, err)
	}
}

// Event is a started event.
type Event struct {
	event.Playing

	player *event.Player
}

// Event starts an event of Google's infrastructure, such as "preempt" (see package event), at the
// emulator's time. Details change the event's defaults.
func (i *Instance) Event(kind fixtures.EventType, details ...func(*event.Event)) *Event {
	i.t.Helper()
	wanted := event.Event{Type: kind}
	for _, change := range details {
		change(&wanted)
	}
	player := i.emulator.server.Events
	begun, err := player.Play(i.present(), wanted)
	if err != nil {
		i.t.Fatalf("servertest: event %q: %v", kind, err)
	}
	return &Event{begun, player}
}

// Cancel ends the event. Metadata keeps its present values.
func (e *Event) Cancel() { _, _ = e.player.Cancel(e.ID) } // fails only with replicas

// Events returns the events of the instance that have not ended, in the order in which they were
// started. They include the future events of its scenario.
func (i *Instance) Events() []*Event {
	var list []*Event
	player := i.emulator.server.Events
	for _, playing := range player.List() {
		if playing.Instance == i.present() {
			list = append(list, &Event{playing, player})
		}
	}
	return list
}

// ClearEvents ends all events of the instance. Metadata keeps its present values.
func (i *Instance) ClearEvents() {
	for _, one := range i.Events() {
		one.Cancel()
	}
}

// path returns a control plane path below the instance's.
func (i *Instance) path(rest string) string {
	return "instances/" + url.PathEscape(i.name) + "/" + rest
}

// present returns the instance's name.
func (i *Instance) present() string {
	if i.name == defaultInstance {
		return i.emulator.server.World().State.DefaultInstance().Name
	}
	return i.name
}

// AwaitWaiter returns when a request waits for a change of an entry, so that the next change
// wakes it. entry is the entry's path, such as "instance/" for a request that waits for that
// directory, or a pattern, such as "*". If the context ends first, the test fails.
func (i *Instance) AwaitWaiter(ctx context.Context, entry string) {
	i.t.Helper()
	e := i.emulator
	err := e.server.AwaitWaiter(ctx, func(waiter mds.Waiter) bool {
		path, _, _ := strings.Cut(waiter.Path, "?")
		return waiter.Instance == i.present() && wildcard.Match(entry, strings.TrimPrefix(path, "/computeMetadata/v1/"))
	})
	if err != nil {
		i.t.Fatalf("servertest: no request waits for %q: %v", entry, err)
	}
}

// Waiters returns the requests that wait for a change of the instance's metadata, the longest
// waiting first.
func (i *Instance) Waiters() []mds.Waiter {
	return slices.DeleteFunc(i.emulator.server.Waiters(), func(w mds.Waiter) bool { return w.Instance != i.present() })
}
