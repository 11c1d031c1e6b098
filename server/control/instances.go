package control

import (
	"net/http"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
)

// instance is an instance with the base URL of its metadata server.
type instance struct {
	Name string `json:"name"`
	URL  string `json:"url,omitempty"` // empty if it has no address of its own; the main address serves the default instance
}

// Instances lists the instances, the default one first.
func (s *Server) Instances(*http.Request) (wire.Response, error) {
	var list struct {
		Instances []instance `json:"instances"`
	}
	urls := s.instanceURLs()
	for _, known := range s.worlds.Load().State.Instances {
		list.Instances = append(list.Instances, instance{Name: known.Name, URL: urls[known.Name]})
	}
	return googleapi.JSON(list), nil
}
