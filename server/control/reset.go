package control

import (
	"net/http"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
)

// Reset restores the emulator's state at its start. If replicas share the state, Reset answers after the others
// have forgotten their own state too, and names the replicas that have not confirmed it.
func (s *Server) Reset(r *http.Request) (wire.Response, error) {
	if err := s.reset(); err != nil {
		return wire.Response{}, err
	}
	if s.peers == nil {
		return googleapi.JSON(struct{}{}), nil
	}
	return googleapi.JSON(s.settle(r.Context())), nil
}
