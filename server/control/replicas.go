package control

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/peers"
	"gcp-metadata-emulator/server/wire"
)

// replicaParameter is the parameter that says which replicas a request is about: this one if it is missing,
// one by its name, or all of them.
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

// gathering says of which replicas an answer is.
type gathering struct {
	Replica    string          `json:"replica,omitempty"`    // of this one alone
	Replicas   []peers.Replica `json:"replicas,omitempty"`   // of these, because all were wanted
	Unanswered []unanswered    `json:"unanswered,omitempty"` // and not of these
	Alone      bool            `json:"alone,omitempty"`      // all were wanted, and this emulator shares its world with no other
}

// unanswered is a replica that has not answered.
type unanswered struct {
	peers.Replica

	Reason string `json:"reason"`
}

// part is what one replica has.
type part[T any] struct {
	of  peers.Replica // without a name if the emulator is alone
	has T
}

// gather returns what the replicas have that a request is about. own is what this replica has, and the others
// answer with the same type when they are asked for a resource. Only if all replicas are wanted, some of them
// need not answer.
func gather[T any](s *Server, r *http.Request, resource string, own T) ([]part[T], gathering, error) {
	of, err := s.chosen(r.URL.Query().Get(replicaParameter))
	if err != nil {
		return nil, gathering{}, err
	}
	var parts []part[T]
	if of.own != nil {
		parts = append(parts, part[T]{*of.own, own})
	}
	var silent []unanswered
	for _, answer := range s.peers.Ask(r.Context(), resource, of.others) {
		one := part[T]{of: answer.Replica}
		if answer.Reason == "" && json.Unmarshal(answer.Body, &one.has) != nil {
			answer.Reason = "its answer cannot be read: run the same version of the emulator in every replica"
		}
		if answer.Reason != "" {
			silent = append(silent, unanswered{answer.Replica, answer.Reason})
			continue
		}
		parts = append(parts, one)
	}
	if of.all {
		found := gathering{Unanswered: silent, Alone: s.peers == nil}
		for _, one := range parts {
			if !found.Alone {
				found.Replicas = append(found.Replicas, one.of)
			}
		}
		return parts, found, nil
	}
	for _, one := range silent {
		return nil, gathering{}, googleapi.Unavailable(fmt.Sprintf("the replica %q at %s does not say what it has: %s", one.Name, one.URL, one.Reason))
	}
	return parts, gathering{Replica: parts[0].of.Name}, nil
}

// chosen are the replicas that a request is about.
type chosen struct {
	own    *peers.Replica // nil: not this one
	others []peers.Replica
	all    bool // all were wanted
}

// chosen returns the replicas that a value of the parameter means.
func (s *Server) chosen(value string) (chosen, error) {
	all := s.peers.All()
	own := peers.Replica{Name: s.peers.Own()}
	var others []peers.Replica
	for _, one := range all {
		if one.Name == own.Name {
			own = one
		} else {
			others = append(others, one)
		}
	}
	if value == allReplicas {
		return chosen{own: &own, others: others, all: true}, nil
	}
	if value == "" || value == own.Name {
		return chosen{own: &own}, nil
	}
	if at := slices.IndexFunc(others, func(one peers.Replica) bool { return one.Name == value }); at >= 0 {
		return chosen{others: others[at : at+1]}, nil
	}
	if len(all) == 0 {
		return chosen{}, googleapi.NotFound(fmt.Sprintf(
			"there is no replica %q: this emulator was started without --store, so it shares its world with no other; leave out %q", value, replicaParameter))
	}
	names := make([]string, len(all))
	for i, one := range all {
		names[i] = one.Name
	}
	return chosen{}, googleapi.NotFound(fmt.Sprintf("there is no replica %q; use %q, or one of: %s", value, allReplicas, strings.Join(names, ", ")))
}
