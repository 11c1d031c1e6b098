package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/records"
	"gcp-metadata-emulator/server/records/recordstest"
	"gcp-metadata-emulator/server/replica"
)

// Every replica knows the events of all, plays them by the shared clock, and ends them.
func TestReplicasShareEvents(t *testing.T) {
	t.Parallel()
	all := newReplicas(t, 3)
	const scenario = `{"instances": [{"name": "full-vm", "scenario": [{"at": "0s", "set": {"instance/attributes/n": "1"}}, {"at": "1h", "event": "preempt"}]}]}`
	playing := func() (counts []int) {
		for _, one := range all {
			counts = append(counts, len(one.Events.List()))
		}
		return counts
	}
	all[0].at(t, http.MethodPut, "state", scenario)
	if got := all[2].value(t, "full-vm", "attributes/n"); got != "1" {
		t.Errorf("the first step has made %q", got)
	}
	posted := all[1].ok(t, http.MethodPost, local+"/emulator/v1/instances/full-vm/events", `{"type": "shutdown", "in": "2h"}`)
	var begun struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal([]byte(posted), &begun); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{2, 2, 2}, playing()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	all[2].at(t, http.MethodDelete, "instances/full-vm/events/"+begun.ID, "")
	if got := all[1].ask(t.Context(), http.MethodDelete, local+"/emulator/v1/instances/full-vm/events/"+begun.ID, "").Code; got != http.StatusNotFound {
		t.Errorf("a second cancellation has status %d", got)
	}
	for i := range 3 {
		all[2].at(t, http.MethodPut, "clock", fmt.Sprintf(`{"now": "203%d-01-01T00:00:00Z", "frozen": true}`, i))
	}
	await(t, "the scenario was not played", func() bool { return all[1].value(t, "full-vm", "preempted") == "TRUE" })
	for i, end := range []func(){
		func() { all[1].at(t, http.MethodPut, "state", `{"instances": [{"name": "full-vm"}]}`) },
		func() { all[2].at(t, http.MethodPost, "reset", "") },
	} {
		all[0].at(t, http.MethodPost, "instances/full-vm/events", `{"type": "shutdown", "in": "2h"}`)
		if end(); slices.Max(playing()) > 0 {
			t.Errorf("after end %d, events are %v", i, playing())
		}
	}
}

// elected returns the index of the replica that is elected, or -1.
func elected(all []oneOf, asked oneOf) int {
	found, _ := asked.link.Copy().Find("player/elected")
	return slices.IndexFunc(all, func(one oneOf) bool { return one.shared.Name() == string(found.Value) })
}

// If the replica that plays events ends, another replica plays the rest. Each step happens once, even if all
// replicas try, and even if the first replica goes on unexpectedly.
func TestAnotherReplicaPlaysTheRest(t *testing.T) {
	t.Parallel()
	all := newReplicas(t, 3)
	const count = 8 // each live migration makes the drift token one larger
	var fixture strings.Builder
	fixture.WriteString(`{"instances": [{"name": "posted"}`)
	for i := range count {
		fmt.Fprintf(&fixture, `, {"name": "vm-%d", "scenario": [{"at": "%ds", "event": "live-migrate"}]}`, i, 10*i)
	}
	fixture.WriteString("]}")
	all[0].at(t, http.MethodPut, "clock", `{"now": "2030-01-01T00:00:00Z", "frozen": true}`)
	all[1].at(t, http.MethodPut, "state", fixture.String())
	all[2].at(t, http.MethodPost, "instances/posted/events", `{"type": "live-migrate", "in": "5s"}`)
	tokens := func(asked oneOf) (list []string) {
		for i := range count {
			list = append(list, asked.value(t, fmt.Sprintf("vm-%d", i), "virtual-clock/drift-token"))
		}
		return append(list, asked.value(t, "posted", "virtual-clock/drift-token"))
	}

	all[0].at(t, http.MethodPost, "clock:advance", `{"duration": "85s"}`)
	half := []string{"1", "1", "0", "0", "0", "0", "0", "0", "1"}
	await(t, "nobody plays", func() bool { return slices.Equal(tokens(all[0]), half) && elected(all, all[0]) >= 0 })
	first := elected(all, all[0])
	all[first].link.End()
	rest := slices.Delete(slices.Clone(all), first, first+1)
	rest[0].at(t, http.MethodPost, "clock:advance", `{"duration": "30s"}`)
	half[2], half[3], half[4] = "1", "1", "1"
	await(t, "nobody plays the rest", func() bool { return slices.Equal(tokens(rest[1]), half) })
	if now := elected(all, rest[0]); now == first || now < 0 {
		t.Errorf("replica %d is elected after replica %d has ended", now, first)
	}

	all[first].link.Connect()
	rest[1].at(t, http.MethodPost, "clock:advance", `{"duration": "1h"}`)
	var group sync.WaitGroup
	for _, one := range all {
		group.Go(func() {
			if next, err := one.Events.PlayShared(); err != nil || !next.IsZero() {
				t.Errorf("the next step is at %v, %v", next, err)
			}
		})
	}
	group.Wait()
	for i, one := range all {
		if diff := cmp.Diff(slices.Repeat([]string{"1"}, count+1), tokens(one)); diff != "" {
			t.Errorf("at replica %d (-want +got):\n%s", i, diff)
		}
		if got := one.Events.List(); len(got) > 0 {
			t.Errorf("replica %d still plays %d events", i, len(got))
		}
	}
}

// If the elected replica hangs but stays elected, another replica plays its steps.
func TestElectedReplicaHangs(t *testing.T) {
	t.Parallel()
	all := newReplicasOf(t, 3, time.Second/20)
	all[0].at(t, http.MethodPut, "clock", `{"now": "2030-01-01T00:00:00Z", "frozen": true}`)
	await(t, "nobody is elected", func() bool { return elected(all, all[0]) >= 0 })
	first := elected(all, all[0])
	rest := slices.Delete(slices.Clone(all), first, first+1)
	rest[0].at(t, http.MethodPost, "instances/full-vm/events", `{"type": "live-migrate", "in": "5s"}`)
	all[first].link.Cut()
	rest[1].at(t, http.MethodPost, "clock:advance", `{"duration": "1h"}`)
	await(t, "nobody plays", func() bool {
		return rest[0].value(t, "full-vm", "virtual-clock/drift-token") == "1" && len(rest[1].Events.List()) == 0
	})
	if now := elected(all, rest[0]); now != first {
		t.Errorf("replica %d is elected, want %d still", now, first)
	}
	all[first].link.Connect()
	await(t, "the replica that has hung does not go on", func() bool { return len(all[first].Events.List()) == 0 })
	if got := all[first].value(t, "full-vm", "virtual-clock/drift-token"); got != "1" {
		t.Errorf("the drift token is %q", got)
	}
}

// If no replica reached the store when an event was due, the event happens afterwards.
func TestEventsWaitForTheStore(t *testing.T) {
	t.Parallel()
	one := newReplicas(t, 1)[0]
	one.at(t, http.MethodPost, "instances/full-vm/events", `{"type": "preempt", "in": "1ms"}`)
	one.link.Cut()
	if _, err := one.Events.PlayShared(); err == nil && one.value(t, "full-vm", "preempted") != "TRUE" {
		await(t, "the step is not due", func() bool { _, err := one.Events.PlayShared(); return err != nil })
	}
	if got := one.ask(t.Context(), http.MethodDelete, local+"/emulator/v1/instances/full-vm/events", "").Code; got != http.StatusServiceUnavailable {
		t.Errorf("without the store, a cancellation has status %d", got)
	}
	one.link.Connect()
	await(t, "the step is lost", func() bool { return one.value(t, "full-vm", "preempted") == "TRUE" })
}

// refusing is a store that refuses the second change with events.
type refusing struct {
	records.Store

	changes *atomic.Int32
}

func (r refusing) Commit(ctx context.Context, change records.Change) error {
	isOfEvents := func(entry records.Entry) bool { return strings.HasPrefix(entry.Name, "events/") }
	if slices.ContainsFunc(change.Put, isOfEvents) && r.changes.Add(1) == 2 {
		return &records.UnreachableError{Err: errors.New("the test refuses the change")}
	}
	return r.Store.Commit(ctx, change)
}

// manyScenarios do not fit into one change.
const manyScenarios = 250

// scenarios returns a world with many scenarios.
func scenarios() string {
	instances := make([]string, manyScenarios)
	for i := range instances {
		instances[i] = fmt.Sprintf(`{"name": "vm-%d", "scenario": [{"at": "1h", "event": "preempt"}]}`, i)
	}
	return `{"instances": [` + strings.Join(instances, ",") + `]}`
}

// newRefusing starts two emulators that share a store. The store counts the changes with events, and refuses the
// second of them.
func newRefusing(t *testing.T, changes *atomic.Int32, grace time.Duration) (all [2]oneOf) {
	t.Helper()
	memory := recordstest.New()
	for i := range all {
		link := memory.Join()
		all[i].link = link
		all[i].Emulator = emulatortest.NewOf(t, emulatortest.Fixture(t), func(config *server.Config) {
			all[i].shared = share(t, config, replica.Config{Host: string(rune('a' + i)), Store: refusing{link, changes}, Grace: grace})
		})
	}
	return all
}

// A replica ends after it has begun some of many scenarios. Another replica begins the others, and no reader sees
// only some of them.
func TestScenariosBegunInPart(t *testing.T) {
	t.Parallel()
	changes := &atomic.Int32{}
	all := newRefusing(t, changes, 0)
	got := all[0].ask(t.Context(), http.MethodPut, local+"/emulator/v1/state", scenarios())
	isWhole := func(of oneOf) bool {
		seen := len(of.Events.List())
		if seen != 0 && seen != manyScenarios {
			t.Errorf("a replica shows %d of %d events", seen, manyScenarios)
		}
		return seen == manyScenarios
	}
	await(t, "the scenarios do not begin", func() bool { return isWhole(all[0]) && isWhole(all[1]) })
	if _, err := all[0].Events.PlayShared(); err != nil || changes.Load() != 4 {
		t.Errorf("status %d; the events were kept in %d changes, one of which was refused: %v", got.Code, changes.Load(), err)
	}
	names := map[string]bool{}
	for _, one := range all[0].Events.List() {
		names[one.Instance] = true
	}
	if len(names) != manyScenarios {
		t.Errorf("%d instances have a scenario", len(names))
	}
}

// If the elected replica hangs, another replica also begins the scenarios of which only some have begun.
func TestElectedReplicaBeginsNothing(t *testing.T) {
	t.Parallel()
	all := newRefusing(t, &atomic.Int32{}, time.Millisecond)
	await(t, "no replica is elected", func() bool { return elected(all[:], all[0]) >= 0 })
	hanging := elected(all[:], all[0])
	other := all[1-hanging]
	all[hanging].link.Cut()
	other.ask(t.Context(), http.MethodPut, local+"/emulator/v1/state", scenarios())
	await(t, "the scenarios do not begin", func() bool { return len(other.Events.List()) == manyScenarios })
}
