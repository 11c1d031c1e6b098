package replicas_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"gcp-metadata-emulator/server/records/recordstest"
)

// gathered is an answer about all replicas.
type gathered struct {
	Requests []struct {
		Replica string `json:"replica"`
	} `json:"requests"`
	Faults []struct {
		Hits int `json:"hits"`
	} `json:"faults"`
	Replicas []struct {
		Name  string `json:"name"`
		URL   string `json:"url"`
		Yours bool   `json:"yours"`
	} `json:"replicas"`
	Unanswered []struct {
		Name   string `json:"name"`
		Reason string `json:"reason"`
	} `json:"unanswered"`
}

// gather asks a replica's control plane, and ignores an answer that is a refusal.
func (r *replica) gather(path string) (answer gathered) {
	_, text := r.try(http.MethodGet, "/emulator/v1/"+path, "")
	_ = json.Unmarshal([]byte(text), &answer)
	return answer
}

// known returns the number of replicas that a replica knows.
func (r *replica) known() int { return len(r.gather("replicas").Replicas) }

// ownName returns the name of a replica.
func (r *replica) ownName() string {
	for _, one := range r.gather("replicas").Replicas {
		if one.Yours {
			return one.Name
		}
	}
	return ""
}

// Any replica answers with the journals and the counts of all. It names a hanging replica, and forgets an
// ended replica.
func TestJournalsAreGathered(t *testing.T) {
	t.Parallel()
	server := recordstest.StartEtcd(t)
	a, b := newReplica(t, "a", server.Address), newReplica(t, "b", server.Address)
	c := newReplica(t, "c", server.Address, "--peer-listen", "127.0.0.1:0")
	all := []*replica{a, b, c}
	until(t, "the replicas know each other", func() bool { return a.known() == 3 && b.known() == 3 && c.known() == 3 })
	for _, one := range a.gather("replicas").Replicas {
		at, err := url.Parse(one.URL)
		isMain := slices.ContainsFunc(all, func(r *replica) bool { return err == nil && at.Host == r.address })
		if err != nil || isMain != (one.Name != c.ownName()) {
			t.Errorf("a replica has the URL %q: %v", one.URL, err)
		}
	}
	a.call(t, http.MethodPost, "/emulator/v1/faults", `{"route": "mds.metadata", "status": 503, "times": 1}`)
	for _, one := range all {
		until(t, "the fault is known", func() bool { return len(one.gather("faults").Faults) == 1 })
		if status, _ := one.try(http.MethodGet, "/computeMetadata/v1/instance/name", ""); status != http.StatusServiceUnavailable {
			t.Errorf("a request that a fault strikes has status %d", status)
		}
	}
	for _, one := range all {
		until(t, "the journals are gathered", func() bool {
			status, _ := one.try(http.MethodGet, "/emulator/v1/requests?replica=all&route=mds.metadata&expect=3", "")
			return status == http.StatusOK
		})
		until(t, "the counts are gathered", func() bool {
			counted := one.gather("faults?replica=all").Faults
			return len(counted) == 1 && counted[0].Hits == 3
		})
	}
	until(t, "the journal of one is read at another", func() bool {
		found := a.gather("requests?replica=" + c.ownName()).Requests
		return len(found) == 1 && found[0].Replica == c.ownName()
	})

	until(t, "a command prints the journals of all", func() bool {
		out, err := exec.Command(emulator, "requests", "--url", "http://"+a.address, "--replica", "all").Output()
		names := 0
		for _, one := range all {
			names += strings.Count(string(out), one.ownName())
		}
		return err == nil && names == 3
	})

	hung := b.ownName()
	signal(t, b, syscall.SIGSTOP)
	until(t, "the replica that hangs is named", func() bool {
		for _, one := range a.gather("requests?replica=all").Unanswered {
			if one.Name == hung {
				return one.Reason == "it has not answered within 1s"
			}
		}
		return false
	})
	signal(t, b, syscall.SIGCONT)
	until(t, "the replica answers again", func() bool { return len(a.gather("requests?replica=all").Requests) == 3 })

	c.kill()
	until(t, "the replica that was killed is forgotten", func() bool { return a.known() == 2 })
	signal(t, b, syscall.SIGTERM)
	_ = b.process.Wait()
	until(t, "the replica that has ended is forgotten", func() bool { return a.known() == 1 })
}

func signal(t *testing.T, to *replica, signal syscall.Signal) {
	t.Helper()
	if err := to.process.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
}
