package control

import (
	"net/http"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
)

// Reset restores the emulator's state at its start.
func (s *Server) Reset(*http.Request) (wire.Response, error) {
	if err := s.reset(); err != nil {
		return wire.Response{}, err
	}
	return googleapi.JSON(struct{}{}), nil
}
