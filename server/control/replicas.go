package control

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strings"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/peers"
	"gcp-metadata-emulator/server/wire"
)

// replicaParameter names the replica, or all replicas, for a request. Without it, the request is about this replica.
const (
	replicaParameter = "replica"
	allReplicas      = "all"
)

// Replicas lists the replicas that share the world.
func (s *Server) Replicas(*http.Request) (wire.Response, error) {
	type listed struct {
		peers.Replica

		Yours bool `json:"yours,omitempty"` // it answers this request
	}
	list := []listed{}
	for _, one := range s.peers.All() {
		list = append(list, listed{one, one.Name == s.peers.Own()})
	}
	return googleapi.JSON(struct {
		Replicas []listed `json:"replicas"`
	}{list}), nil
}

// gathering lists the replicas with an answer to a request, and the replicas without an answer.
type gathering struct {
	Replica    string             `json:"replica,omitempty"`    // the only one that was asked
	Replicas   []peers.Replica    `json:"replicas,omitempty"`   // that have answered, if all were asked
	Unanswered []peers.Unanswered `json:"unanswered,omitempty"` // all were asked, and these have not answered
	Alone      bool               `json:"alone,omitempty"`      // all were asked, and this emulator shares its world with no other
}

// from returns the replica that an answer names.
func (g gathering) from() string { return g.Replica }

// without marks replicas as unanswered if they have not answered another question.
func (g gathering) without(silent []peers.Unanswered) gathering {
	for _, one := range silent {
		before := len(g.Replicas)
		g.Replicas = slices.DeleteFunc(g.Replicas, func(of peers.Replica) bool { return of.Name == one.Name })
		if len(g.Replicas) < before {
			g.Unanswered = append(g.Unanswered, one)
		}
	}
	return g
}

// part is the answer of one replica.
type part[T any] struct {
	of  peers.Replica // without a name if the emulator is alone
	has T
}

// source is a question to replicas, with the type of their answers.
type source[T interface{ from() string }] struct {
	asked peers.Question
	own   func() T           // returns this replica's own answer
	add   func(one *part[T]) // handles each answer as it comes, one at a time, and may make it smaller; nil: keeps it
}

// gather asks the replicas named in a request, and returns their answers: this replica's first, then by name. An
// unanswered question is an error, unless all replicas are asked.
func gather[T interface{ from() string }](s *Server, r *http.Request, from source[T]) ([]part[T], gathering, error) {
	var parts []part[T]
	keep := func(one part[T]) {
		if from.add != nil {
			from.add(&one)
		}
		parts = append(parts, one)
	}
	of, err := s.ask(r, from.asked, func(own peers.Replica) { keep(part[T]{own, from.own()}) }, func(of peers.Replica, answer []byte) error {
		one := part[T]{of: of}
		if json.Unmarshal(answer, &one.has) != nil {
			return peers.ErrForeign
		}
		if err := of.Check(one.has.from()); err != nil {
			return err
		}
		keep(one)
		return nil
	})
	sort.Slice(parts, func(a, b int) bool { return s.isBefore(parts[a].of.Name, parts[b].of.Name) })
	return parts, of, err
}

// isBefore reports whether the answer of a replica is before that of another.
func (s *Server) isBefore(a, b string) bool {
	own := s.peers.Own()
	return a == own || b != own && a < b
}

// ask calls own if a request is about this replica, and asks the others that it is about. See peers.Group.Ask.
func (s *Server) ask(r *http.Request, asked peers.Question, own func(peers.Replica), take func(peers.Replica, []byte) error) (gathering, error) {
	s.peers.CatchUp(r)
	of, err := s.chosen(r)
	if err != nil {
		return gathering{}, err
	}
	if of.own != nil {
		own(*of.own)
	}
	silent := s.peers.Ask(r.Context(), asked, of.others, take)
	if of.all {
		return of.gathering(silent), nil
	}
	for _, one := range silent {
		return gathering{}, googleapi.Unavailable(fmt.Sprintf("the replica %q at %q has not answered: %s", one.Name, one.URL, one.Reason))
	}
	if of.own != nil {
		return gathering{Replica: of.own.Name}, nil
	}
	return gathering{Replica: of.others[0].Name}, nil
}

// chosen are the replicas that a request is about.
type chosen struct {
	own    *peers.Replica // nil: not this one
	others []peers.Replica
	all    bool // all were wanted
}

// gathering names the replicas that have answered.
func (c chosen) gathering(silent []peers.Unanswered) gathering {
	if c.own.Name == "" {
		return gathering{Alone: true}
	}
	answered := []peers.Replica{*c.own}
	for _, one := range c.others {
		if !slices.ContainsFunc(silent, func(u peers.Unanswered) bool { return u.Name == one.Name }) {
			answered = append(answered, one)
		}
	}
	return gathering{Replicas: answered, Unanswered: silent}
}

// chosen returns the replicas named in a request. Another replica may only ask for this one, so no question is passed
// on.
func (s *Server) chosen(r *http.Request) (chosen, error) {
	value := r.URL.Query().Get(replicaParameter)
	if from := r.Header.Get(peers.Marker); from != "" && value != "" {
		return chosen{}, googleapi.InvalidArgument(fmt.Sprintf("the replica %q may ask this one for its own answer alone; leave out %q", from, replicaParameter))
	}
	everybody := s.everybody()
	own, others := *everybody.own, everybody.others
	if value == allReplicas {
		return everybody, nil
	}
	if value == "" || value == own.Name {
		return chosen{own: &own}, nil
	}
	if at := slices.IndexFunc(others, func(one peers.Replica) bool { return one.Name == value }); at >= 0 {
		return chosen{others: others[at : at+1]}, nil
	}
	if own.Name == "" {
		return chosen{}, googleapi.NotFound(fmt.Sprintf(
			"there is no replica %q: this emulator was started without --store, so it shares its world with no other; leave out %q", value, replicaParameter))
	}
	var names []string
	for _, one := range s.peers.All() {
		names = append(names, one.Name)
	}
	return chosen{}, googleapi.NotFound(fmt.Sprintf("there is no replica %q; use %q, or one of: %s", value, allReplicas, strings.Join(names, ", ")))
}

// everybody returns all replicas.
func (s *Server) everybody() chosen {
	own := peers.Replica{Name: s.peers.Own()}
	var others []peers.Replica
	for _, one := range s.peers.All() {
		if one.Name == own.Name {
			own = one
		} else {
			others = append(others, one)
		}
	}
	return chosen{own: &own, others: others, all: true}
}

// settle waits until the other replicas have seen the changes of this one. It returns the replicas that have not
// confirmed it.
func (s *Server) settle(ctx context.Context) gathering {
	everybody := s.everybody()
	asked := peers.Question{Method: http.MethodGet, Path: requestsPath, Query: url.Values{"limit": {"1"}}}
	return everybody.gathering(s.peers.Ask(ctx, asked, everybody.others, func(of peers.Replica, answer []byte) error {
		var has gathering
		if json.Unmarshal(answer, &has) != nil {
			return peers.ErrForeign
		}
		return of.Check(has.from())
	}))
}
