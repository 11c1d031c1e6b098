package replicas_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/records/recordstest"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// written counts the bytes of the values that are written below the prefix of a test.
type written struct {
	news  clientv3.WatchChan
	bytes int
}

func newWritten(t *testing.T, server *recordstest.Etcd) *written {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{server.Address}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return &written{news: client.Watch(t.Context(), t.Name()+"/", clientv3.WithPrefix())}
}

// until returns how many bytes were written until a change of the head, the first since the last call.
func (w *written) until(t *testing.T) int {
	t.Helper()
	for isOver := false; !isOver; {
		select {
		case news := <-w.news:
			for _, event := range news.Events {
				w.bytes += len(event.Kv.Value)
				isOver = isOver || strings.HasSuffix(string(event.Kv.Key), "/world/head")
			}
		case <-t.Context().Done():
			t.Fatal("the head does not change")
		}
	}
	all := w.bytes
	w.bytes = 0
	return all
}

// A world of 4 MB is written in parts, because it is more than twice as large as a request to etcd may be. An
// edit writes few of the parts.
func TestLargeWorld(t *testing.T) {
	t.Parallel()
	server := recordstest.StartEtcd(t)
	all := newReplicas(t, server)
	type instance map[string]any
	var instances []instance
	for i := range 5000 {
		filler := strings.Repeat(fmt.Sprintf("%06d ", i), 100)
		instances = append(instances, instance{"name": fmt.Sprint("vm-", i), "metadata": map[string]any{"instance": map[string]any{"attributes": map[string]string{"filler": filler}}}})
	}
	world, err := json.Marshal(map[string]any{"instances": instances})
	if err != nil {
		t.Fatal(err)
	}
	log := newWritten(t, server)
	all[0].call(t, http.MethodPut, "/emulator/v1/state", string(world))
	whole := log.until(t)
	if whole < len(world)/2 {
		t.Errorf("the world has %d bytes, and %d were written", len(world), whole)
	}
	const attribute = "/emulator/v1/instances/vm-%d/metadata/instance/attributes/told"
	most := 0
	for i, at := range []int{0, 2500, 4999} {
		value := fmt.Sprint("v", i)
		editor, reader := all[i], all[(i+1)%len(all)]
		until(t, "the world is at the replica", func() bool {
			status, _ := editor.try(http.MethodGet, fmt.Sprintf("/emulator/v1/instances/vm-%d/metadata/instance/attributes/filler", at), "")
			return status == http.StatusOK
		})
		editor.call(t, http.MethodPut, fmt.Sprintf(attribute, at), fmt.Sprintf(`{"value": %q}`, value))
		most = max(most, log.until(t))
		until(t, "the edit is at another replica", func() bool {
			status, text := reader.try(http.MethodGet, fmt.Sprintf(attribute, at), "")
			return status == http.StatusOK && strings.Contains(text, value)
		})
	}
	if most > whole/20 {
		t.Errorf("an edit wrote %d bytes of %d", most, whole)
	}
	t.Logf("a world of %d bytes with 5,000 instances: %d bytes were written to etcd; at most %d for an edit", len(world), whole, most)
	until(t, "all replicas have the same state", func() bool {
		states := map[string]bool{}
		for _, one := range all {
			states[one.call(t, http.MethodGet, "/emulator/v1/state", "")] = true
		}
		return len(states) == 1
	})
}

// A world has more scenarios than etcd takes records in a transaction: each of them is played.
func TestManyScenarios(t *testing.T) {
	t.Parallel()
	all := newReplicas(t, recordstest.StartEtcd(t))
	var instances []string
	for i := range 1000 {
		instances = append(instances, fmt.Sprintf(`{"name": "vm-%d", "scenario": [{"at": "1h", "set": {"instance/attributes/told": "x"}}]}`, i))
	}
	all[1].call(t, http.MethodPut, "/emulator/v1/clock", `{"now": "2030-01-01T00:00:00Z", "frozen": true}`)
	all[0].call(t, http.MethodPut, "/emulator/v1/state", `{"instances": [`+strings.Join(instances, ",")+`]}`)
	for _, one := range all {
		until(t, "every replica knows the scenarios", func() bool {
			return one.call(t, http.MethodGet, "/emulator/v1/instances/vm-0/events", "") != "" && strings.Count(one.call(t, http.MethodGet, "/emulator/v1/instances/vm-999/events", ""), `"id"`) == 1
		})
	}
}
