package control

import (
	"net/http"

	"gcp-metadata-emulator/server/explain"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
)

// finding is a finding about one replica, or about several.
type finding struct {
	explain.Finding

	Evidence []evidence `json:"evidence,omitempty"` // in place of Requests, if the finding is about all replicas
}

// evidence names the exchanges of one replica that show a finding.
type evidence struct {
	Replica  string   `json:"replica"`
	Requests []uint64 `json:"requests"` // their sequence numbers
}

// ExplainLately says in sentences what happened lately, in this replica or in others.
func (s *Server) ExplainLately(r *http.Request) (wire.Response, error) {
	everything := lookUp{}
	parts, of, err := gather(s, r, requestsPath, everything.find(s.journal.Since(0)))
	if err != nil {
		return wire.Response{}, err
	}
	waiting, _, err := s.waitersOf(r)
	if err != nil {
		return wire.Response{}, err
	}
	found := everything.merge(parts)
	now, machine := s.clock.Both()
	window := explain.Window{Dropped: found.Dropped, Now: now, Machine: machine, Frozen: s.clock.Frozen()}
	for i, e := range found.Requests {
		if of.Replicas != nil {
			e.Sequence = uint64(i)
		}
		window.Exchanges = append(window.Exchanges, e.Exchange)
	}
	for _, waiter := range waiting.Waiters {
		window.Waiters = append(window.Waiters, explain.Waiter{Instance: waiter.Instance, Since: waiter.Since})
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
