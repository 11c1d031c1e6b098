package control

import (
	"net/http"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
)

// Reset restores the emulator's state at its start. If replicas share the state, it answers when the others have
// forgotten theirs too, and names those that do not say so.
func (s *Server) Reset(r *http.Request) (wire.Response, error) {
	if err := s.reset(); err != nil {
		return wire.Response{}, err
	}
	if s.peers == nil {
		return googleapi.JSON(struct{}{}), nil
	}
	return googleapi.JSON(s.settle(r.Context())), nil
}
