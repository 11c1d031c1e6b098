package control

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"gcp-metadata-emulator/server/credentials"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
)

// Credentials answers with a credential file for this emulator. URLs in the file start with the
// parameter "url" or, without it, with the URL under which the client reached the emulator.
func (s *Server) Credentials(r *http.Request) (wire.Response, error) {
	query := r.URL.Query()
	base, err := s.fileURL(r)
	if err != nil {
		return wire.Response{}, err
	}
	file, err := s.credentials.File(r.Context(), s.worlds.Load().State, credentials.Request{
		Type:    r.PathValue("type"),
		Account: query.Get("account"),
		Source:  query.Get("source"),
		URL:     base,
	})
	if missing, ok := errors.AsType[*credentials.NotFoundError](err); ok {
		return wire.Response{}, googleapi.NotFound(missing.Error())
	}
	if err != nil {
		return wire.Response{}, err
	}
	return secret(file), nil
}

// fileURL returns the base URL for a credential file. A client may give a URL that the control
// plane does not know, such as a TLS listener's, because some libraries require https.
func (s *Server) fileURL(r *http.Request) (string, error) {
	given := r.URL.Query().Get("url")
	if given == "" {
		return s.surfacesURL(r), nil
	}
	base := strings.TrimSuffix(given, "/")
	parsed, err := url.Parse(base)
	if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" || base != parsed.Scheme+"://"+parsed.Host {
		return "", googleapi.InvalidArgument(fmt.Sprintf("%q is not the URL of an emulator, such as https://127.0.0.1:8443", given))
	}
	return base, nil
}

// secret returns an answer that no client or proxy may cache.
func secret(value any) wire.Response {
	response := googleapi.JSON(value)
	response.Header = []wire.Field{{Name: "Cache-Control", Value: "no-store"}}
	return response
}
