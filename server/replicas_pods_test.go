package server_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/records"
	"gcp-metadata-emulator/server/records/recordstest"
	"gcp-metadata-emulator/server/replica"
	"gcp-metadata-emulator/server/world"
)

// watched is a cluster from the view of a replica.
type watched struct {
	pods world.Pods
	seen sync.Map // names of pods by address
}

func (w *watched) At(_ context.Context, address netip.Addr) (string, *journal.Refusal) {
	if name, ok := w.seen.Load(address); ok {
		return name.(string), nil
	}
	if !netip.MustParsePrefix("10.4.0.0/16").Contains(address) {
		return "", nil
	}
	return "", &journal.Refusal{Code: reason.UnknownCaller, Reason: "no pod has the address " + address.String(), Hint: "wait"}
}

func (w *watched) add(name, account string, address netip.Addr) {
	w.pods.Put(world.Pod{Name: name, Account: account, Addresses: []netip.Addr{address}})
	w.seen.Store(address, name)
}

func (w *watched) remove(name string, address netip.Addr) {
	w.seen.Delete(address)
	w.pods.Remove(name)
}

// observed notes the writes to a store.
type observed struct {
	*recordstest.Replica

	mu      sync.Mutex
	written strings.Builder
}

func (o *observed) Commit(ctx context.Context, change records.Change) error {
	o.mu.Lock()
	for _, one := range change.Put {
		fmt.Fprintf(&o.written, "%s: %s\n", one.Name, one.Value)
	}
	o.mu.Unlock()
	return o.Replica.Commit(ctx, change)
}

// clustered is a replica that watches a cluster.
type clustered struct {
	oneOf

	cluster *watched
	store   *observed
}

// answer asks for the e-mail address of the default account from an address.
func (c clustered) answer(t *testing.T, address netip.Addr) string {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://169.254.169.254"+emulatortest.AttachedPath+"default/email", http.NoBody)
	request.Header.Set("Metadata-Flavor", "Google")
	request.RemoteAddr = netip.AddrPortFrom(address, 4711).String()
	recorder := httptest.NewRecorder()
	c.ServeHTTP(recorder, request)
	return recorder.Body.String()
}

func newClustered(t *testing.T, count int) []clustered {
	t.Helper()
	memory, all := recordstest.New(), make([]clustered, count)
	for i := range all {
		all[i] = clustered{cluster: &watched{}, store: &observed{Replica: memory.Join()}}
		all[i].Emulator = emulatortest.NewOf(t, emulatortest.Fixture(t), func(config *server.Config) {
			config.Pods, config.Workloads.Pods = &all[i].cluster.pods, all[i].cluster
			share(t, config, replica.Config{Host: string(rune('a' + i)), Store: all[i].store})
		})
	}
	return all
}

// Replicas that watch a cluster share their world, and each knows the pods by itself: pods are never
// written to the store, and stay when the world is replaced.
func TestReplicasInCluster(t *testing.T) {
	t.Parallel()
	const pool = "demo-project.svc.id.goog"
	bound, plain := netip.MustParseAddr("10.4.0.5"), netip.MustParseAddr("10.4.0.6")
	all := newClustered(t, 2)
	for _, one := range all {
		one.cluster.pods.Annotate("secret-place/bound", emulatortest.Worker)
		one.cluster.pods.Annotate("secret-place/plain", "")
		one.cluster.add("bound.secret-place", "secret-place/bound", bound)
		one.cluster.add("plain.secret-place", "secret-place/plain", plain)
	}
	expect := func(when string) {
		t.Helper()
		for i, one := range all {
			if got := one.answer(t, bound) + " " + one.answer(t, plain); got != emulatortest.Worker+" "+pool {
				t.Errorf("%s: replica %d answers %s", when, i, got)
			}
		}
	}
	expect("at the start")
	all[0].ok(t, http.MethodPut, local+nameOfAttribute, `{"value": "by a"}`)
	await(t, "the edit does not come", func() bool { return all[1].value(t, "full-vm", "attributes/told") == "by a" })
	expect("after an edit")
	all[1].at(t, http.MethodPut, "state", `{"project": {"id": "demo-project"}, "instances": [{"name": "other"}]}`)
	await(t, "the new state does not come", func() bool {
		return strings.Contains(all[0].ok(t, http.MethodGet, local+"/emulator/v1/instances", ""), `"other"`)
	})
	expect("after another state")
	if state := all[0].ok(t, http.MethodGet, local+"/emulator/v1/state", ""); strings.Contains(state, "secret-place") {
		t.Errorf("the exported state has pods: %s", state)
	}
	all[1].at(t, http.MethodPost, "reset", "")
	expect("after a reset")

	all[1].cluster.remove("bound.secret-place", bound)
	if got := all[1].answer(t, bound); !strings.HasPrefix(got, "no pod has the address") {
		t.Errorf("the replica that knows of the removal answers %s", got)
	}
	if got := all[0].answer(t, bound); got != emulatortest.Worker {
		t.Errorf("the other replica answers %s", got)
	}
	for i, one := range all {
		one.store.mu.Lock()
		if text := one.store.written.String(); strings.Contains(text, "secret-place") || i == 0 && !strings.Contains(text, "by a") {
			t.Errorf("replica %d has written %s", i, text)
		}
		one.store.mu.Unlock()
	}
}
