package control

import (
	"errors"
	"net/http"

	"gcp-metadata-emulator/server/credentials"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
)

// Credentials answers with a credential file that works against this emulator. Its URLs are
// those of the emulator under the name by which the client reached it.
func (s *Server) Credentials(r *http.Request) (wire.Response, error) {
	query := r.URL.Query()
	file, err := s.credentials.File(r.Context(), s.worlds.Load().State, credentials.Request{
		Type:    r.PathValue("type"),
		Account: query.Get("account"),
		Source:  query.Get("source"),
		URL:     s.surfacesURL(r),
	})
	if missing, ok := errors.AsType[*credentials.NotFoundError](err); ok {
		return wire.Response{}, googleapi.NotFound(missing.Error())
	}
	if err != nil {
		return wire.Response{}, err
	}
	return secret(file), nil
}

// secret is an answer that nobody may keep.
func secret(value any) wire.Response {
	response := googleapi.JSON(value)
	response.Header = []wire.Field{{Name: "Cache-Control", Value: "no-store"}}
	return response
}
