package control

import (
	"errors"
	"fmt"
	"net/http"

	"gcp-metadata-emulator/server/fault"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
)

// Faults lists the faults with their counters.
func (s *Server) Faults(*http.Request) (wire.Response, error) {
	return googleapi.JSON(struct {
		Faults []fault.Fault `json:"faults"`
	}{s.faults.List()}), nil
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
