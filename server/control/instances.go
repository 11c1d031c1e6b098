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

	Ingress *serviceDoor `json:"ingress,omitempty"` // nil: it runs no service
}

// serviceDoor is the door in front of an instance's service.
type serviceDoor struct {
	URL  string   `json:"url,omitempty"` // empty if the door has no address of its own
	URLs []string `json:"urls"`          // under which the service is known, the main one first

	Upstream string `json:"upstream,omitempty"` // the address of the service itself; empty: not known
}

// Instances lists the instances, the default one first.
func (s *Server) Instances(*http.Request) (wire.Response, error) {
	var list struct {
		Instances []instance `json:"instances"`
	}
	urls, doors := s.addresses(), s.doors()
	for _, known := range s.worlds.Load().State.Instances {
		one := instance{Name: known.Name, URL: urls[known.Name]}
		if known.Service != nil {
			one.Ingress = new(newServiceDoor(known.Service, doors[known.Name]))
		}
		list.Instances = append(list.Instances, one)
	}
	return googleapi.JSON(list), nil
}
