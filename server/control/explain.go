package control

import (
	"cmp"
	"net/http"
	"net/url"
	"strconv"
	"sync"

	"gcp-metadata-emulator/server/explain"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/peers"
	"gcp-metadata-emulator/server/wire"
)

// finding is a finding about a replica, or about several.
type finding struct {
	explain.Finding

	Evidence []evidence `json:"evidence,omitempty"` // in place of Requests, if the finding is about all replicas
}

// evidence names the exchanges of a replica that show a finding.
type evidence struct {
	Replica  string   `json:"replica"`
	Requests []uint64 `json:"requests"` // their sequence numbers
}

// considered is the number of exchanges of all replicas together that are looked at.
const considered = 8000

// ExplainLately explains recent exchanges and waiting requests in sentences, for this replica or for others.
func (s *Server) ExplainLately(r *http.Request) (wire.Response, error) {
	found, waiting, err := s.lately(r)
	if err != nil {
		return wire.Response{}, err
	}
	now, machine := s.clock.Both()
	window := explain.Window{
		Dropped: found.Dropped, Unread: uint64(found.Count - len(found.Requests)), //nolint:gosec // not negative
		Now: now, Machine: machine, Frozen: s.clock.Frozen(),
	}
	of := found.gathering
	for i, e := range found.Requests {
		if of.Replicas != nil {
			e.Sequence = uint64(i)
		}
		window.Exchanges = append(window.Exchanges, e.Exchange)
	}
	for _, one := range waiting.Instances {
		window.Waiters = append(window.Waiters, explain.Waiters(one))
	}
	findings := []finding{}
	for _, one := range explain.Explain(window) {
		shown := finding{Finding: one}
		if of.Replicas != nil {
			shown.Requests, shown.Evidence = nil, evidenceIn(found.Requests, one.Requests)
		}
		findings = append(findings, shown)
	}
	return googleapi.JSON(struct {
		Findings []finding `json:"findings"`
		gathering
	}{findings, of}), nil
}

// lately returns the exchanges and the waiting requests of the replicas named in a request. It asks for both at
// once. If a replica has not answered both questions, it counts as unanswered. If all replicas are asked, the more
// there are, the fewer exchanges each is asked for.
func (s *Server) lately(r *http.Request) (recorded, waiterList, error) {
	share := lookUp{limit: considered}
	if r.URL.Query().Get(replicaParameter) == allReplicas {
		share.limit = max(1, considered/max(1, len(s.peers.All())))
	}
	var found merging
	of, failed := gathering{}, error(nil)
	var asking sync.WaitGroup
	asking.Go(func() {
		_, of, failed = gather(s, r, source[recorded]{
			asked: peers.Question{Method: http.MethodGet, Path: requestsPath, Query: url.Values{"limit": {strconv.Itoa(share.limit)}}},
			own:   func() recorded { return share.find(s.journal.Since(0)) }, add: found.add,
		})
	})
	waiting, err := s.waitersOf(r, 1)
	asking.Wait()
	return found.done(of.without(waiting.Unanswered)), waiting, cmp.Or(failed, err)
}

// evidenceIn names exchanges at some places of a list by their replicas.
func evidenceIn(list []exchange, places []uint64) []evidence {
	var all []evidence
	at := map[string]int{}
	for _, place := range places {
		e := list[place]
		if _, known := at[e.Replica]; !known {
			at[e.Replica] = len(all)
			all = append(all, evidence{Replica: e.Replica})
		}
		one := &all[at[e.Replica]]
		one.Requests = append(one.Requests, e.Sequence)
	}
	return all
}
