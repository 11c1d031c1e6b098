package world

import (
	"net/url"

	"gcp-metadata-emulator/fixtures"
)

// Neighbour is an emulator of another Google API beside this one.
type Neighbour struct {
	Host       string // the API's name
	Upstream   *url.URL
	Scopes     []string // a token needs one of these; empty: the API's usual scopes
	Permission string   // for methods whose permission is not known; empty: none
	Listen     string   // an address of its own, HOST:PORT; empty: none
}

func (w *World) addNeighbours(described []fixtures.Neighbour) {
	for _, f := range described {
		upstream, err := url.Parse(f.Upstream)
		if err != nil {
			continue // only if the fixture was not read from a file
		}
		w.Neighbours = append(w.Neighbours, &Neighbour{
			Host: f.Host, Upstream: upstream, Scopes: f.Scopes, Permission: f.Permission, Listen: f.Listen,
		})
	}
}

// Neighbour finds a neighbour by the name of its API. There are only a few.
func (w *World) Neighbour(host string) (*Neighbour, bool) {
	for _, neighbour := range w.Neighbours {
		if neighbour.Host == host {
			return neighbour, true
		}
	}
	return nil, false
}
