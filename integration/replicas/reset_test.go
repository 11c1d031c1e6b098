package replicas_test

import (
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"

	"gcp-metadata-emulator/server/records/recordstest"
)

// A reset at a replica clears the journals and the faults of all replicas before its answer. If a replica
// is stopped meanwhile, it clears its journal when it goes on.
func TestResetClearsEveryJournal(t *testing.T) {
	t.Parallel()
	all := newReplicas(t, recordstest.StartEtcd(t))
	count := func(one *replica) int {
		status, text := one.try(http.MethodGet, "/emulator/v1/requests?route=mds.metadata", "")
		if status != http.StatusOK {
			return -1
		}
		return strings.Count(text, `"sequence"`)
	}
	until(t, "the replicas know each other", func() bool {
		return !slices.ContainsFunc(all, func(one *replica) bool { return one.known() < len(all) })
	})
	for round, at := range all {
		all[0].call(t, http.MethodPost, "/emulator/v1/faults", `{"route": "mds.metadata", "status": 503, "times": 1}`)
		for _, one := range all {
			until(t, "the fault is known", func() bool { return len(one.gather("faults").Faults) == 1 })
			if status, _ := one.try(http.MethodGet, "/computeMetadata/v1/instance/name", ""); status != http.StatusServiceUnavailable || count(one) != 1 {
				t.Errorf("in round %d, a request has status %d, and the journal has %d", round, status, count(one))
			}
		}
		if answer := at.call(t, http.MethodPost, "/emulator/v1/reset", ""); strings.Contains(answer, `"unanswered"`) {
			until(t, "the journals are cleared", func() bool {
				return !slices.ContainsFunc(all, func(one *replica) bool { return count(one) != 0 })
			})
		}
		for _, one := range all {
			if requests, faults := count(one), len(one.gather("faults").Faults); requests != 0 || faults != 0 {
				t.Errorf("after reset %d, replica %s has %d requests and %d faults", round, one.name, requests, faults)
			}
		}
	}

	at, stopped := all[0], all[1]
	stopped.call(t, http.MethodGet, "/computeMetadata/v1/instance/name", "")
	if got := count(stopped); got != 1 {
		t.Errorf("before the reset, the journal has %d requests", got)
	}
	signal(t, stopped, syscall.SIGSTOP)
	if answer := at.call(t, http.MethodPost, "/emulator/v1/reset", ""); !strings.Contains(answer, "it has not answered within 1s") {
		t.Errorf("while a replica is stopped, the answer is %s", answer)
	}
	signal(t, stopped, syscall.SIGCONT)
	until(t, "the journal is cleared when the replica goes on", func() bool { return count(stopped) == 0 })
}
