package control

import (
	"net/http"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
)

// Reset brings the emulator back to how it started.
func (s *Server) Reset(*http.Request) (wire.Response, error) {
	s.reset()
	return googleapi.JSON(struct{}{}), nil
}
