package control

import (
	"net/http"
	"net/netip"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/workloads"
)

// instance is an instance with the base URL of its metadata server.
type instance struct {
	Name string `json:"name"`
	URL  string `json:"url,omitempty"` // empty if it has no address of its own; the main address serves the default instance

	Addresses []fixtures.Network `json:"addresses,omitempty"` // from which it asks

	Ingress *serviceDoor `json:"ingress,omitempty"` // nil: it runs no service
}

// yours is the instance whose metadata the caller of the control plane would get.
type yours struct {
	Instance string         `json:"instance,omitempty"` // empty: its requests for metadata are refused
	ChosenBy workloads.Rule `json:"chosenBy"`
	Because  string         `json:"because"`
	Hint     string         `json:"hint,omitempty"` // of a refusal
}

// newYours describes a choice for a caller at an address.
func newYours(choice workloads.Choice, peer string) yours {
	own := yours{ChosenBy: choice.Rule, Because: choice.Because(peer)}
	if choice.Instance != nil {
		own.Instance = choice.Instance.Name
	}
	if choice.Refusal != nil {
		own.Hint = choice.Refusal.Hint
	}
	return own
}

// serviceDoor is the door in front of an instance's service.
type serviceDoor struct {
	URL  string   `json:"url,omitempty"` // empty if the door has no address of its own
	URLs []string `json:"urls"`          // under which the service is known, the main one first

	Upstream string `json:"upstream,omitempty"` // the address of the service itself; empty: not known
}

// single returns a network for each address, with this address alone.
func single(addresses []netip.Addr) []fixtures.Network {
	networks := make([]fixtures.Network, len(addresses))
	for i, address := range addresses {
		networks[i] = fixtures.Network{Prefix: netip.PrefixFrom(address, address.BitLen())}
	}
	return networks
}

// Instances lists the instances, the default one first and the pods of a cluster last, and names the caller's instance.
func (s *Server) Instances(r *http.Request) (wire.Response, error) {
	var list struct {
		Instances []instance `json:"instances"`
		Yours     yours      `json:"yours"`
	}
	list.Yours = newYours(s.workload(r), r.RemoteAddr)
	urls, doors := s.addresses(), s.doors()
	for _, known := range s.worlds.Load().State.Instances {
		one := instance{Name: known.Name, URL: urls[known.Name], Addresses: known.Addresses}
		if known.Service != nil {
			one.Ingress = new(newServiceDoor(known.Service, doors[known.Name]))
		}
		list.Instances = append(list.Instances, one)
	}
	for _, pod := range s.worlds.Load().State.Pods() {
		list.Instances = append(list.Instances, instance{Name: pod.Name, Addresses: single(pod.Addresses)})
	}
	return googleapi.JSON(list), nil
}
