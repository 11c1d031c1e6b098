package control

import (
	"net/http"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/iap"
	"gcp-metadata-emulator/server/ingress"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// service is a service with its door, and with the principals that the door lets in.
type service struct {
	Name   string `json:"name"`
	Region string `json:"region"`

	serviceDoor

	Authentication fixtures.Authentication `json:"authentication"`
	Internal       bool                    `json:"internal"` // only workloads of the project get in
	Audiences      []string                `json:"audiences,omitempty"`
	Callers        []string                `json:"callers"` // members, or allUsers alone
}

// Services lists the services with the service accounts and users that may call each at present.
func (s *Server) Services(*http.Request) (wire.Response, error) {
	current, doors, list := s.worlds.Load().State, s.doors(), []service{}
	for _, known := range current.Services() {
		list = append(list, service{
			Name: known.Name, Region: known.Region, serviceDoor: newServiceDoor(known, doors[known.Name]),
			Authentication: known.Authentication, Internal: known.Internal, Audiences: known.Audiences,
			Callers: callers(ingress.Door{World: current, Service: known, Now: s.clock.Now()}),
		})
	}
	return googleapi.JSON(struct {
		Services []service `json:"services"`
	}{list}), nil
}

// addresses returns the base URLs of the instances with an address of their own.
func (s *Server) addresses() map[string]string {
	if s.instanceURLs == nil {
		return nil
	}
	return s.instanceURLs()
}

// doors returns the base URLs of the doors with an address of their own.
func (s *Server) doors() map[string]string {
	if s.doorURLs == nil {
		return nil
	}
	return s.doorURLs()
}

func newServiceDoor(of *world.Service, url string) serviceDoor {
	door := serviceDoor{URL: url, URLs: of.URLs}
	if of.Upstream != nil {
		door.Upstream = of.Upstream.String()
	}
	return door
}

// callers returns the members that a door lets in.
func callers(at ingress.Door) []string {
	if iap.Admits(at, iam.Principal{}) {
		return []string{"allUsers"}
	}
	members := []string{}
	for _, account := range at.World.Accounts {
		if iap.Admits(at, account.Principal()) {
			members = append(members, account.Principal().Member())
		}
	}
	for _, user := range at.World.Users {
		if iap.Admits(at, user.Principal()) {
			members = append(members, user.Principal().Member())
		}
	}
	return members
}
