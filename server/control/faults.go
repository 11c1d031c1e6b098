package control

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"gcp-metadata-emulator/server/fault"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/peers"
	"gcp-metadata-emulator/server/wire"
)

// faultsPath is the path of the faults.
const faultsPath = "/emulator/v1/faults"

// shown is a fault with the counters of a replica, or with the sums of all.
type shown struct {
	fault.Fault

	Replicas []counters `json:"replicas,omitempty"` // of all replicas
}

// counters are the counters of a fault in a replica.
type counters struct {
	Name     string `json:"name"` // of the replica
	Requests int    `json:"requests"`
	Hits     int    `json:"hits"`
}

// faultList is the list of faults of a replica.
type faultList struct {
	gathering

	Faults []fault.Fault `json:"faults"`
}

// Faults lists the faults with their counters, in this replica or in others. The replicas share the faults,
// but each counts its own requests.
func (s *Server) Faults(r *http.Request) (wire.Response, error) {
	parts, of, err := gather(s, r, source[faultList]{
		asked: peers.Question{Method: http.MethodGet, Path: faultsPath}, own: func() faultList { return faultList{Faults: s.faults.List()} },
	})
	if err != nil {
		return wire.Response{}, err
	}
	answer := struct {
		Faults []shown `json:"faults"`
		gathering
	}{[]shown{}, of}
	for _, known := range parts[0].has.Faults {
		one := shown{Fault: known}
		if of.Replicas != nil {
			one.count(parts)
		}
		answer.Faults = append(answer.Faults, one)
	}
	return googleapi.JSON(answer), nil
}

// count sets the counters to the sums of all replicas. A replica that has not seen the fault yet has no counters.
func (s *shown) count(parts []part[faultList]) {
	s.Requests, s.Hits = 0, 0
	for _, one := range parts {
		at := slices.IndexFunc(one.has.Faults, func(f fault.Fault) bool { return f.ID == s.ID })
		if at >= 0 {
			counted := counters{one.of.Name, one.has.Faults[at].Requests, one.has.Faults[at].Hits}
			s.Replicas = append(s.Replicas, counted)
			s.Requests += counted.Requests
			s.Hits += counted.Hits
		}
	}
}

// AddFault activates a fault and answers with it.
func (s *Server) AddFault(r *http.Request) (wire.Response, error) {
	var rule fault.Rule
	if err := readJSON(r, &rule); err != nil {
		return wire.Response{}, err
	}
	added, err := s.faults.Add(rule)
	if mistake, ok := errors.AsType[*fault.RuleError](err); ok {
		return wire.Response{}, googleapi.InvalidArgument(mistake.Error())
	} else if err != nil {
		return wire.Response{}, err
	}
	return googleapi.JSON(added), nil
}

// Fault returns a fault with its counters.
func (s *Server) Fault(r *http.Request) (wire.Response, error) {
	found, ok := s.faults.Find(r.PathValue("fault"))
	if !ok {
		return wire.Response{}, noFault(r)
	}
	return googleapi.JSON(found), nil
}

// RemoveFault removes a fault.
func (s *Server) RemoveFault(r *http.Request) (wire.Response, error) {
	existed, err := s.faults.Remove(r.PathValue("fault"))
	switch {
	case err != nil:
		return wire.Response{}, err
	case !existed:
		return wire.Response{}, noFault(r)
	}
	return googleapi.JSON(struct{}{}), nil
}

// ClearFaults removes all faults.
func (s *Server) ClearFaults(*http.Request) (wire.Response, error) {
	if err := s.faults.Clear(); err != nil {
		return wire.Response{}, err
	}
	return googleapi.JSON(struct{}{}), nil
}

func noFault(r *http.Request) error {
	return googleapi.NotFound(fmt.Sprintf("there is no fault %q", r.PathValue("fault")))
}
