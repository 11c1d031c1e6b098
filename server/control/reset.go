package control

import (
	"net/http"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
)

// Reset restores the emulator's state at its start.
func (s *Server) Reset(*http.Request) (wire.Response, error) {
	s.reset()
	return googleapi.JSON(struct{}{}), nil
}
