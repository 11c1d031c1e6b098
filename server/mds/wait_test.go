package mds_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/mds"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/workloads"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/server/world/worldtest"
)

// rig is a metadata server, with a world for tests to change.
type rig struct {
	*mds.Server

	worlds *store.Store[*world.World]
	clock  *clock.Clock
}

func newRig(t *testing.T) *rig {
	t.Helper()
	worlds := store.New(worldtest.Parse(t, `
instances:
  - {name: demo-vm, metadata: {instance: {attributes: {a: "1", b: "2"}}}}
  - {name: other-vm}
  - {name: limited-vm, guestAttributes: {rateLimit: true}, metadata: {instance: {attributes: {enable-guest-attributes: "TRUE"}}}}
  - {name: pod, profile: gke}
`))
	emulated := clock.New(time.Now)
	callers := guard.New(guard.Config{Worlds: worlds, Issuer: token.NewIssuer(worldtest.Ring(emulated.Now), emulated.Now)})
	return &rig{mds.New(callers, emulated, workloads.Chooser{}), worlds, emulated}
}

// get starts a request and returns a channel with its answer.
func (r *rig) get(t *testing.T, ctx context.Context, path string) <-chan wire.Response {
	t.Helper()
	request := httptest.NewRequestWithContext(ctx, http.MethodGet, "/computeMetadata/v1/"+path, http.NoBody)
	request.Header.Set("Metadata-Flavor", "Google")
	return r.send(t, request)
}

// send starts a request and returns a channel with its answer.
func (r *rig) send(t *testing.T, request *http.Request) <-chan wire.Response {
	t.Helper()
	answered := make(chan wire.Response, 1)
	go func() {
		response, err := r.Metadata(request)
		if err != nil {
			t.Error(err)
		}
		answered <- response
	}()
	return answered
}

func (r *rig) set(t *testing.T, instance, path string, value any) {
	t.Helper()
	r.edit(t, func(w *world.World) (*world.World, error) {
		found, ok := w.Instance(instance)
		if !ok {
			t.Fatalf("no instance %q", instance)
		}
		return w.WithMetadata(found, path, value)
	})
}

func (r *rig) edit(t *testing.T, change func(*world.World) (*world.World, error)) {
	t.Helper()
	if err := r.worlds.Update(change); err != nil {
		t.Fatal(err)
	}
}

func etag(response wire.Response) string {
	for _, field := range response.Header {
		if field.Name == "ETag" {
			return field.Value
		}
	}
	return ""
}

// waiting fails the test if there is an answer already.
func waiting(t *testing.T, answered <-chan wire.Response) {
	t.Helper()
	synctest.Wait()
	select {
	case response := <-answered:
		t.Fatalf("answered with %d %q", response.Status, response.Body)
	default:
	}
}

func answer(t *testing.T, answered <-chan wire.Response) wire.Response {
	t.Helper()
	synctest.Wait()
	select {
	case response := <-answered:
		return response
	default:
		t.Fatal("no answer")
		return wire.Response{}
	}
}

const wait = "?wait_for_change=true"

func TestWaitersAreWokenByWhatTheyWaitFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rig, ctx := newRig(t), t.Context()
		leaf := rig.get(t, ctx, "instance/attributes/a"+wait)
		list := rig.get(t, ctx, "instance/tags"+wait)
		subtree := rig.get(t, ctx, "instance/"+wait+"&recursive=true")
		project := rig.get(t, ctx, "project/"+wait+"&recursive=true")
		waiting(t, leaf)

		// Changes to another instance or another entry wake no request.
		rig.set(t, "other-vm", "instance/attributes/a", "9")
		rig.set(t, "demo-vm", "instance/attributes/a", "1")
		for _, answered := range []<-chan wire.Response{leaf, list, subtree, project} {
			waiting(t, answered)
		}
		if got := len(rig.Waiters()); got != 4 {
			t.Errorf("%d waiters are listed, want 4", got)
		}

		rig.set(t, "demo-vm", "instance/attributes/a", "3")
		if got := answer(t, leaf); got.Body != "3" {
			t.Errorf("leaf is %q", got.Body)
		}
		answer(t, subtree)
		waiting(t, list)
		waiting(t, project)

		rig.set(t, "demo-vm", "instance/tags", []any{"web"})
		if got := answer(t, list); got.Body != `["web"]` {
			t.Errorf("tags are %q", got.Body)
		}
		rig.set(t, "other-vm", "project/attributes/k", "v") // the project is everybody's
		if got := answer(t, project); got.Body != `{"attributes":{"k":"v"},"numericProjectId":123456789012,"projectId":"demo-project"}` {
			t.Errorf("project is %s", got.Body)
		}
		if got := rig.Waiters(); len(got) != 0 {
			t.Errorf("still listed as waiting: %v", got)
		}
	})
}

// readerFunc is a function as a reader.
type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// A request does not miss a change between its look and its wait, while its body is read.
func TestChangeBeforeWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rig := newRig(t)
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/computeMetadata/v1/instance/attributes/a"+wait,
			readerFunc(func([]byte) (int, error) {
				rig.set(t, "demo-vm", "instance/attributes/a", "2")
				return 0, io.EOF
			}))
		request.Header.Set("Metadata-Flavor", "Google")
		if got := answer(t, rig.send(t, request)); got.Body != "2" {
			t.Errorf("leaf is %q", got.Body)
		}
	})
}

func TestDeletionWakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rig := newRig(t)
		leaf := rig.get(t, t.Context(), "instance/attributes/a"+wait)
		directory := rig.get(t, t.Context(), "instance/attributes/"+wait+"&recursive=true")
		waiting(t, leaf)
		rig.edit(t, func(w *world.World) (*world.World, error) {
			return w.WithoutMetadata(w.DefaultInstance(), "instance/attributes/a")
		})
		if got := answer(t, leaf); got.Status != http.StatusNotFound {
			t.Errorf("leaf: status %d, want 404", got.Status)
		}
		if got := answer(t, directory); got.Body != `{"b":"2"}` {
			t.Errorf("directory is %s", got.Body)
		}
	})
}

func TestLastETag(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rig := newRig(t)
		now := answer(t, rig.get(t, t.Context(), "instance/attributes/a"))
		for _, stale := range []string{"0", "NONE", "abc"} {
			if got := answer(t, rig.get(t, t.Context(), "instance/attributes/a"+wait+"&last_etag="+stale)); got.Body != "1" {
				t.Errorf("last_etag=%s: %q", stale, got.Body)
			}
		}
		current := rig.get(t, t.Context(), "instance/attributes/a"+wait+"&last_etag="+etag(now))
		waiting(t, current)
		rig.set(t, "demo-vm", "instance/attributes/a", "2")
		changed := answer(t, current)
		if etag(changed) == etag(now) || changed.Body != "2" {
			t.Errorf("changed to %q with ETag %s, which was %s", changed.Body, etag(changed), etag(now))
		}
		rig.set(t, "demo-vm", "instance/attributes/a", "1")
		if back := answer(t, rig.get(t, t.Context(), "instance/attributes/a?alt=json")); etag(back) != etag(now) {
			t.Errorf("the ETag does not come back with the content: %s, which was %s", etag(back), etag(now))
		}
	})
}

// Requests can wait for leaves, lists and recursive directories.
func TestEveryKindIsWaitedFor(t *testing.T) {
	t.Parallel()
	const elsewhere = "instance/description"
	for name, test := range map[string]struct {
		path, query string // what is waited for
		edited      string // an entry in it
		value       any
		deleted     string // takes it away
	}{
		"leaf":              {"instance/attributes/a", "", "instance/attributes/a", "2", "instance/attributes/a"},
		"leaf as JSON":      {"instance/attributes/a", "&alt=json", "instance/attributes/a", "2", "instance/attributes/a"},
		"list":              {"instance/tags", "", "instance/tags", []any{"web"}, "instance/tags"},
		"directory":         {"instance/attributes/", "&recursive=true", "instance/attributes/new", "2", "instance/attributes"},
		"directory as text": {"instance/attributes/", "&recursive=true&alt=text", "instance/attributes/a", "2", "instance/attributes"},
		"deep directory":    {"instance/scheduling", "&recursive=true", "instance/scheduling/preemptible", "TRUE", "instance/scheduling"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rig := newRig(t)
				get := func(parameters string) <-chan wire.Response {
					return rig.get(t, t.Context(), test.path+"?timeout_sec=60"+test.query+parameters)
				}
				first := answer(t, get(""))
				for _, stale := range []string{"NONE", "0", "abc"} {
					if got := answer(t, get("&wait_for_change=true&last_etag="+stale)); etag(got) != etag(first) {
						t.Errorf("last_etag=%s: answered with ETag %q, want %q", stale, etag(got), etag(first))
					}
				}

				unchanged := get("&wait_for_change=true&last_etag=" + etag(first))
				rig.set(t, "demo-vm", elsewhere, "x")
				waiting(t, unchanged)
				if got := <-unchanged; got.Body != first.Body || etag(got) != etag(first) { // the time is over
					t.Errorf("unchanged: %q with ETag %q, want %q with %q", got.Body, etag(got), first.Body, etag(first))
				}

				before, _ := rig.worlds.Load().State.Metadata(rig.worlds.Load().State.DefaultInstance(), test.edited)
				changing := get("&wait_for_change=true&last_etag=" + etag(first))
				waiting(t, changing)
				rig.set(t, "demo-vm", test.edited, test.value)
				second := answer(t, changing)
				if second.Body == first.Body || etag(second) == etag(first) {
					t.Errorf("changed: %q with ETag %q, as before", second.Body, etag(second))
				}
				rig.restore(t, test.edited, before)
				if got := answer(t, get("")); got.Body != first.Body || etag(got) != etag(first) {
					t.Errorf("changed back: %q with ETag %q, want %q with %q", got.Body, etag(got), first.Body, etag(first))
				}

				disappearing := get("&wait_for_change=true&last_etag=" + etag(first))
				waiting(t, disappearing)
				rig.restore(t, test.deleted, nil)
				if got := answer(t, disappearing); got.Status != http.StatusNotFound {
					t.Errorf("deleted: status %d, want 404", got.Status)
				}
			})
		})
	}
}

// restore sets an entry of the default instance to an earlier value; nil deletes it.
func (r *rig) restore(t *testing.T, path string, value any) {
	t.Helper()
	if value != nil {
		r.set(t, "demo-vm", path, value)
		return
	}
	r.edit(t, func(w *world.World) (*world.World, error) { return w.WithoutMetadata(w.DefaultInstance(), path) })
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rig := newRig(t)
		begun := time.Now()
		limited := rig.get(t, t.Context(), "instance/attributes/a"+wait+"&timeout_sec=60")
		waiting(t, limited)
		time.Sleep(30 * time.Second)
		rig.set(t, "demo-vm", "instance/attributes/b", "9") // no reason to begin again
		if got := <-limited; got.Body != "1" || etag(got) == "" || got.Status != 0 {
			t.Errorf("after the time: %+v", got)
		}
		if took := time.Since(begun); took != time.Minute {
			t.Errorf("waited for %v, want a minute", took)
		}
	})
}

// Timeouts follow emulator time.
func TestAdvancingEndsWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rig, begun := newRig(t), time.Now()
		limited := rig.get(t, t.Context(), "instance/attributes/a"+wait+"&timeout_sec=3600")
		endless := rig.get(t, t.Context(), "instance/attributes/a"+wait)
		waiting(t, limited)
		if err := rig.clock.Advance(time.Hour); err != nil {
			t.Fatal(err)
		}
		if got := answer(t, limited); got.Body != "1" || time.Since(begun) != 0 {
			t.Errorf("answered with %q after %v", got.Body, time.Since(begun))
		}
		waiting(t, endless)
		rig.set(t, "demo-vm", "instance/attributes/a", "2")
		answer(t, endless)
	})
}

// The wait ends at once if the client leaves or the server stops.
func TestContextEndsWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rig := newRig(t)
		ctx, cancel := context.WithCancel(t.Context())
		gone := rig.get(t, ctx, "instance/attributes/a"+wait)
		waiting(t, gone)
		cancel()
		answer(t, gone)
		if got := rig.Waiters(); len(got) != 0 {
			t.Errorf("still listed as waiting: %v", got)
		}
	})
}

// The instance can read its guest attributes, and a write wakes waiting requests.
func TestGuestAttributes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rig := newRig(t)
		rig.set(t, "demo-vm", "instance/attributes/enable-guest-attributes", "TRUE")
		waiter := rig.get(t, t.Context(), "instance/guest-attributes/"+wait+"&recursive=true")
		waiting(t, waiter)
		write := func(method, body string) wire.Response {
			request := httptest.NewRequest(method, "/computeMetadata/v1/instance/guest-attributes/ns/k", strings.NewReader(body))
			request.Header.Set("Metadata-Flavor", "Google")
			response, err := rig.Metadata(request)
			if err != nil {
				t.Fatal(err)
			}
			return response
		}
		if got := write(http.MethodPut, "a b\n"); got.Status != 0 {
			t.Fatalf("PUT: %+v", got)
		}
		if got := answer(t, waiter); got.Body != `{"ns":{"k":"a b\n"}}` {
			t.Errorf("waiter is told %s", got.Body)
		}
		if got := answer(t, rig.get(t, t.Context(), "instance/guest-attributes/ns/k")); got.Body != "a b\n" {
			t.Errorf("read %q", got.Body)
		}
		if got := write(http.MethodDelete, ""); got.Status != 0 {
			t.Fatalf("DELETE: %+v", got)
		}
		if got := answer(t, rig.get(t, t.Context(), "instance/guest-attributes/ns/k")); got.Status != http.StatusNotFound {
			t.Errorf("still there: %+v", got)
		}
		if got := answer(t, rig.get(t, t.Context(), "instance/guest-attributes/")); got.Body != "" { // a namespace goes with its last key
			t.Errorf("listed are %q", got.Body)
		}
	})
}

// A limited instance may query guest attributes three times at once and ten times a minute.
func TestGuestRateLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rig := newRig(t)
		send := func(instance string) wire.Response {
			request := httptest.NewRequest(http.MethodGet, "/computeMetadata/v1/instance/guest-attributes/", http.NoBody)
			request.Header.Set("Metadata-Flavor", "Google")
			request.Host = instance + ".localhost"
			return answer(t, rig.send(t, request))
		}
		ask := func(instance string) int { return send(instance).Status }
		rig.set(t, "demo-vm", "instance/attributes/enable-guest-attributes", "TRUE")
		for i := range 20 {
			if got := ask("demo-vm"); got != 0 {
				t.Fatalf("query %d of an instance without a limit: status %d", i, got)
			}
		}
		allowed := func() (count int) {
			for ask("limited-vm") == 0 {
				count++
			}
			return count
		}
		if got := allowed(); got != 3 {
			t.Errorf("%d queries at once, want 3", got)
		}
		const words = "We're sorry, but you have sent too many requests to us recently. Please try again later."
		if got := send("limited-vm"); got.Status != http.StatusTooManyRequests || !strings.Contains(got.Body, words) {
			t.Errorf("status %d, want 429 with the words of Google's page: %s", got.Status, got.Body)
		}
		rig.set(t, "limited-vm", "instance/attributes/a", "b") // an edit gives nothing back
		inAMinute := 0
		for range 60 {
			time.Sleep(time.Second)
			inAMinute += allowed()
		}
		if inAMinute != 10 {
			t.Errorf("%d queries in a minute, want 10", inAMinute)
		}
	})
}

// GKE's answers have no ETag, but clients can wait.
func TestWaitWithoutETag(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rig := newRig(t)
		request := httptest.NewRequest(http.MethodGet, "/computeMetadata/v1/instance/attributes/cluster-name"+wait, http.NoBody)
		request.Header.Set("Metadata-Flavor", "Google")
		request.Host = "pod.localhost"
		waiter := rig.send(t, request)
		waiting(t, waiter)
		rig.set(t, "pod", "instance/attributes/cluster-name", "other")
		if got := answer(t, waiter); got.Body != "other" || etag(got) != "" {
			t.Errorf("answer is %+v", got)
		}
	})
}
