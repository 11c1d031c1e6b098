package server

import (
	"cmp"
	"net/http"
	"strconv"
	"sync"

	"gcp-metadata-emulator/server/door"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/metrics"
	"gcp-metadata-emulator/server/neighbour"
	"gcp-metadata-emulator/server/observer"
	"gcp-metadata-emulator/server/realcredentials"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/world"
)

// neighbourRoute begins the names of the routes that lead to neighbours.
const neighbourRoute = "neighbour."

// neighbours holds the neighbours of the world, with the observer around them.
type neighbours struct {
	*neighbour.Neighbours

	worlds   *store.Store[*world.World]
	observer *observer.Observer
	counts   *metrics.Requests
	handlers sync.Map // http.Handler by the host name of the API
}

// newNeighbours returns neighbours to which the doors forward requests.
func newNeighbours(config Config, doors *doors, callers *guard.Guard, screen *realcredentials.Guard) *neighbours {
	n := &neighbours{worlds: doors.worlds, observer: doors.observer, counts: doors.counts}
	n.Neighbours = neighbour.New(neighbour.Config{
		Worlds: doors.worlds, Keys: config.Keys, Guard: callers.Checking(), Clock: config.Clock, Logger: config.Logger, Screen: screen.API, Observe: n.note,
		Explain: doors.Explain,
		Forward: func(w http.ResponseWriter, r *http.Request, p neighbour.Passing) {
			doors.Forward(w, r, door.Onward{
				Name: "neighbour " + strconv.Quote(p.Neighbour.Host), Upstream: p.Neighbour.Upstream,
				Answered: p.Answered, Failed: p.Failed,
			})
		},
	})
	return n
}

// routes returns the names of the routes to the present neighbours.
func (n *neighbours) routes() []string {
	var names []string
	for _, one := range n.worlds.Load().State.Neighbours {
		names = append(names, neighbourRoute+one.Host)
	}
	return names
}

// at returns the handler for the neighbour to which the Host of a request leads, or nil.
func (n *neighbours) at(r *http.Request) http.Handler {
	to, ok := n.At(r)
	if !ok {
		return nil
	}
	return n.to(to.Host)
}

// to returns the handler for the neighbour of an API.
func (n *neighbours) to(host string) http.Handler {
	handler, known := n.handlers.Load(host)
	if !known {
		n.counts.Also(neighbourRoute + host)
		handler, _ = n.handlers.LoadOrStore(host, n.observer.Stream(neighbourRoute+host, googleapi.Dialect(), n.To(host)))
	}
	return handler.(http.Handler)
}

// note records a request to a neighbour in the journal.
func (n *neighbours) note(r *http.Request, p neighbour.Passage) {
	e := journal.Exchange{
		Time: p.Time, Route: neighbourRoute + p.Host, Status: p.Status, Bytes: max(int(p.Bytes), 0),
		Account: p.Verdict.Caller.Email,
	}
	e.Explain(&p.Verdict.Refusal)
	if p.Failure != "" {
		e.Explain(failure(p.Status, p.Failure))
	}
	e.Caller = cmp.Or(e.Caller, p.Verdict.Caller.Member())
	n.observer.Note(r, e, p.Begun)
}
