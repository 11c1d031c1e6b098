package replicas_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/records/recordstest"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Three servers of etcd are a single store, and the leader is killed again and again: no edit with an answer
// is lost, and all replicas stay members.
func TestLeaderIsKilled(t *testing.T) {
	t.Parallel()
	servers := recordstest.StartEtcds(t, 3)
	addresses := make([]string, len(servers))
	for i, one := range servers {
		addresses[i] = one.Address
	}
	var all []*replica
	for _, name := range []string{"a", "b", "c"} {
		all = append(all, newReplica(t, name, strings.Join(addresses, ",")))
	}
	membersOf := func(one *replica) int {
		return strings.Count(one.call(t, http.MethodGet, "/emulator/v1/replicas", ""), `"name":`)
	}
	until(t, "all replicas are members", func() bool { return membersOf(all[0]) == len(all) })
	for round := range 3 {
		leader := leaderOf(t, servers)
		leader.Kill()
		for _, editor := range all {
			value := fmt.Sprint(round, " by ", editor.name)
			until(t, "replica "+editor.name+" can edit", func() bool { status, _ := editor.set("told", value); return status == http.StatusOK })
			for _, one := range all {
				until(t, "replica "+one.name+" has the edit", func() bool { return one.attribute("told") == value })
				one.call(t, http.MethodGet, "/emulator/v1/readyz", "")
			}
		}
		if got := membersOf(all[round]); got != len(all) {
			t.Errorf("without the server that led, there are %d replicas", got)
		}
		leader.Start(t)
	}
}

// leaderOf returns the leader of the servers. On a busy machine there may be no leader for a moment, because
// the other servers have not heard from it in time.
func leaderOf(t *testing.T, servers []*recordstest.Etcd) (leader *recordstest.Etcd) {
	t.Helper()
	until(t, "a server leads", func() bool {
		for _, one := range servers {
			if leads(t, one) {
				leader = one
			}
		}
		return leader != nil
	})
	return leader
}

func leads(t *testing.T, one *recordstest.Etcd) bool {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{one.Address}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	status, err := client.Status(t.Context(), one.Address)
	if err != nil {
		t.Fatal(err)
	}
	return status.Leader == status.Header.GetMemberId()
}
