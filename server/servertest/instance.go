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

// Instance is one of an emulator's, with a metadata server of its own.
type Instance struct {
	// URL is that of its metadata server, without a final slash. Every other surface answers
	// there too.
	URL string

	t        testing.TB
	emulator *Emulator
	name     string // or defaultInstance
}

// defaultInstance is the control plane's name of whichever is the default one.
const defaultInstance = "-"

// Setenv sets the variables by which client libraries and gcloud find the instance's metadata
// server, GCE_METADATA_HOST and its like, and takes away those that would lead them elsewhere,
// for the duration of a test. A test that does so cannot be parallel; see [testing.T.Setenv].
func (i *Instance) Setenv(t testing.TB) {
	t.Helper()
	at, err := url.Parse(i.URL)
	if err != nil {
		t.Fatalf("servertest: %v", err)
	}
	target := reach.Target{
		URL: at, ProjectID: i.emulator.server.World().State.Project.ID, GcloudConfig: t.TempDir(),
		NoProxy: strings.Trim(os.Getenv("NO_PROXY")+","+os.Getenv("no_proxy"), ","),
	}
	for _, variable := range target.Variables() {
		t.Setenv(variable.Name, variable.Value)
	}
	for _, name := range reach.Obstacles() {
		value, isSet := os.LookupEnv(name)
		if !isSet || !target.IsObstacle(name, value, reach.Obstacles()) {
			continue
		}
		t.Setenv(name, "") // to be set again in the end
		if err := os.Unsetenv(name); err != nil {
			t.Fatalf("servertest: %v", err)
		}
	}
	for _, file := range reach.UserFiles() {
		t.Logf("servertest: %s prefer %q to a metadata server; set HOME to another directory for them", file.Readers, file.Path)
	}
}

// Metadata is the value of an entry as the JSON of the metadata server has it: a text, a [json.Number], a boolean, a list or a
// map. The path is that of the metadata server, below /computeMetadata/v1/.
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

// SetMetadata gives an entry a value: a text, a number, a boolean, a list, or a directory as a map.
// The path is that of the metadata server, below /computeMetadata/v1/. Whoever waits for a change of it is woken.
func (i *Instance) SetMetadata(path string, value any) {
	i.t.Helper()
	if _, err := i.emulator.call(http.MethodPut, i.path("metadata/"+path), map[string]any{"value": value}); err != nil {
		i.t.Fatalf("servertest: set metadata %q: %v", path, err)
	}
}

// DeleteMetadata takes an entry away.
func (i *Instance) DeleteMetadata(path string) {
	i.t.Helper()
	if _, err := i.emulator.call(http.MethodDelete, i.path("metadata/"+path), nil); err != nil {
		i.t.Fatalf("servertest: delete metadata %q: %v", path, err)
	}
}

// Event is one that has been begun.
type Event struct {
	event.Playing

	player *event.Player
}

// Event plays what Google's infrastructure does to a VM, such as "preempt" (see package event), at the emulator's
// time. Details change what the event has by default.
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

// Cancel ends the event where it is.
func (e *Event) Cancel() { e.player.Cancel(e.ID) }

// Events are those of the instance that have not ended, in the order in which they were begun, and what is to come of its
// scenario.
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

// ClearEvents ends all events of the instance where they are.
func (i *Instance) ClearEvents() {
	for _, one := range i.Events() {
		one.Cancel()
	}
}

// path is one of the control plane, below those of the instance.
func (i *Instance) path(rest string) string {
	return "instances/" + url.PathEscape(i.name) + "/" + rest
}

// present is the instance's name.
func (i *Instance) present() string {
	if i.name == defaultInstance {
		return i.emulator.server.World().State.DefaultInstance().Name
	}
	return i.name
}

// AwaitWaiter returns when a request waits for a change of an entry, so that what is changed then wakes it. The
// path is that of the entry, such as "instance/" for who waits for anything below it, or a pattern: "*" for whoever waits.
// The end of the context ends the test.
func (i *Instance) AwaitWaiter(ctx context.Context, entry string) {
	i.t.Helper()
	e := i.emulator
	err := e.server.AwaitWaiter(ctx, func(waiter mds.Waiter) bool {
		path, _, _ := strings.Cut(waiter.Path, "?")
		return waiter.Instance == i.present() && wildcard.Match(entry, strings.TrimPrefix(path, "/computeMetadata/v1/"))
	})
	if err != nil {
		i.t.Fatalf("servertest: nobody waits for %q: %v", entry, err)
	}
}

// Waiters are the requests that wait for a change of the instance's metadata, those that have waited longest first.
func (i *Instance) Waiters() []mds.Waiter {
	return slices.DeleteFunc(i.emulator.server.Waiters(), func(w mds.Waiter) bool { return w.Instance != i.present() })
}
