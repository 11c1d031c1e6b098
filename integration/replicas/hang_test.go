package replicas_test

import (
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gcp-metadata-emulator/server/records/recordstest"
)

// A replica is stopped, and goes on later. Meanwhile another replica plays the events, and nothing happens
// twice.
func TestReplicaHangs(t *testing.T) {
	t.Parallel()
	all := newReplicas(t, recordstest.StartEtcd(t))
	token := func(r *replica) string {
		return r.call(t, http.MethodGet, "/computeMetadata/v1/instance/virtual-clock/drift-token", "")
	}
	for i, victim := range all { // one of them is the replica that plays events
		others := append(append([]*replica{}, all[:i]...), all[i+1:]...)
		others[0].call(t, http.MethodPost, "/emulator/v1/instances/-/events", `{"type": "live-migrate", "in": "1s", "notice": "0s", "lasts": "0s"}`)
		if err := victim.process.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		want := strconv.Itoa(i + 1)
		until(t, "another replica plays the event", func() bool { return token(others[1]) == want })
		if status, text := others[1].set("told", want); status != http.StatusOK {
			t.Errorf("without replica %s, an edit has status %d: %s", victim.name, status, text)
		}
		if err := victim.process.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		for _, one := range all {
			until(t, "every replica has what has happened", func() bool {
				events := one.call(t, http.MethodGet, "/emulator/v1/instances/-/events", "")
				return token(one) == want && one.attribute("told") == want && !strings.Contains(events, "live-migrate")
			})
		}
	}
}
