package control

import (
	"fmt"
	"net/http"

	"gcp-metadata-emulator/server/wire"
)

// Authority answers with the certificate of the emulator's certificate authority, in PEM.
func (s *Server) Authority(*http.Request) (wire.Response, error) {
	authority, err := s.keys.Authority()
	if err != nil {
		return wire.Response{}, fmt.Errorf("read the certificate authority: %w", err)
	}
	return wire.Response{ContentType: "application/x-pem-file", Body: authority.Certificate()}, nil
}
