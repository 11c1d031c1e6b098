package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/records"
	"gcp-metadata-emulator/server/records/recordstest"
	"gcp-metadata-emulator/server/replica"
)

// A reset at a replica makes every replica forget its own state: its journal, cached tokens, and the counts of
// queries for guest attributes. If the store does not reach a replica, the replica forgets later.
func TestResetReachesEveryReplica(t *testing.T) {
	t.Parallel()
	all := newReplicas(t, 3)
	const token = "http://full-vm/computeMetadata/v1/instance/service-accounts/default/token"
	all[0].at(t, http.MethodPut, "clock", `{"now": "2030-01-01T00:00:00Z", "frozen": true}`)
	tokens := make([]string, len(all))
	for i, one := range all {
		tokens[i] = one.ok(t, http.MethodGet, token, "")
		for one.ask(t.Context(), http.MethodGet, guestAttribute, "").Code != http.StatusTooManyRequests {
		}
	}
	late := all[2]
	late.link.Cut()
	all[1].at(t, http.MethodPost, "reset", "")
	all[1].at(t, http.MethodPut, "clock", `{"now": "2030-01-01T00:00:00Z", "frozen": true}`) // cached tokens would still be good
	if got := late.gather(t, "requests").Count; got == 0 {
		t.Error("a replica that the reset has not reached has no requests")
	}
	late.link.Connect()
	for i, one := range all {
		await(t, "a journal is not cleared", func() bool { return one.gather(t, "requests").Count == 0 })
		await(t, "the clock is not set", func() bool { return one.Clock.Now().Year() == 2030 })
		if slices.Contains(tokens, one.ok(t, http.MethodGet, token, "")) {
			t.Errorf("after the reset, replica %d has the token from before", i)
		}
		if got := one.ask(t.Context(), http.MethodGet, guestAttribute, "").Code; got != http.StatusNotFound {
			t.Errorf("after the reset, a query of guest attributes has status %d", got)
		}
	}
}

// A reset is answered after the other replicas have seen it, so no replica clears its journal later. The answer
// does not wait for a replica that cannot be asked.
func TestResetWaitsForReplicas(t *testing.T) {
	t.Parallel()
	all := newKnown(t, 3)
	late := all[2]
	for _, one := range all {
		one.value(t, "full-vm", "name")
	}
	late.link.Cut()
	answered := make(chan string, 1)
	go func() {
		answered <- all[0].ask(t.Context(), http.MethodPost, local+"/emulator/v1/reset", "").Body.String()
	}()
	await(t, "the reset does not happen", func() bool { return all[1].gather(t, "requests").Count == 0 })
	select {
	case answer := <-answered:
		t.Fatalf("before a replica has seen the reset, the answer is %s", answer)
	default:
	}
	late.link.Connect()
	if answer := <-answered; strings.Count(answer, `"name"`) != len(all) || strings.Contains(answer, "unanswered") {
		t.Errorf("the answer is %s", answer)
	}
	if got := late.gather(t, "requests").Count; got != 0 {
		t.Errorf("after the reset, a replica has %d requests", got)
	}

	gone := records.Change{Put: []records.Entry{{Name: "members/gone", Value: []byte("http://127.0.0.1:1")}}}
	if err := late.link.Commit(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	answer := all[1].ok(t, http.MethodPost, local+"/emulator/v1/reset", "")
	if _, unanswered, _ := strings.Cut(answer, `"unanswered"`); strings.Count(unanswered, `"name": "gone"`) != 1 {
		t.Errorf("without a replica, the answer is %s", answer)
	}
}

// A replica also sees a reset that happened while it was cut off, after the store had gone back before another
// reset.
func TestResetAfterABackup(t *testing.T) {
	t.Parallel()
	memory := recordstest.New()
	var all [2]oneOf
	for i := range all {
		all[i].link = memory.Join()
		all[i].Emulator = emulatortest.NewOf(t, emulatortest.Fixture(t), func(config *server.Config) {
			all[i].shared = share(t, config, replica.Config{Host: string(rune('a' + i)), Store: all[i].link})
		})
	}
	restore := memory.Backup()
	all[0].at(t, http.MethodPost, "reset", "")
	all[1].value(t, "full-vm", "name")
	all[1].link.Cut()
	restore()
	all[0].at(t, http.MethodPost, "reset", "")
	all[1].link.Connect()
	await(t, "the journal is not cleared", func() bool { return all[1].gather(t, "requests").Count == 0 })
}

// Only resets clear a journal. Another world, the removal of all faults, and the loss of the world do not. After
// the loss, the next edit writes the world again.
func TestOnlyResetsClearJournals(t *testing.T) {
	t.Parallel()
	all := newReplicas(t, 2)
	all[1].value(t, "full-vm", "name")
	all[0].at(t, http.MethodPost, "reset", "")
	all[1].value(t, "full-vm", "name")
	all[0].at(t, http.MethodPut, "state", `{"instances": [{"name": "full-vm"}]}`)
	all[0].at(t, http.MethodDelete, "faults", "")
	if err := all[0].link.Commit(t.Context(), records.Change{Folders: []string{"world", "world/parts"}}); err != nil {
		t.Fatal(err)
	}
	all[0].at(t, http.MethodPut, "instances/full-vm/metadata/instance/attributes/told", `{"value": "again"}`)
	await(t, "the world is not written again", func() bool { return all[1].value(t, "full-vm", "attributes/told") == "again" })
	if got := all[1].gather(t, "requests?instance=full-vm&route=mds.metadata").Requests; len(got) < 2 || got[0].Sequence != 2 {
		t.Errorf("the requests are %+v", got)
	}
}
