package cli

import (
	"fmt"
	"net/url"

	"gcp-metadata-emulator/server/peers"
)

// replicaFlags holds the flag of commands about the state that each replica keeps to itself.
type replicaFlags struct {
	Replica string `env:"-" placeholder:"NAME" help:"Ask the replica with this name, or all replicas with \"all\" (default: the replica at --url)."`
}

// ask adds the chosen replicas to a query.
func (f replicaFlags) ask(query url.Values) url.Values {
	if f.Replica != "" {
		query.Set("replica", f.Replica)
	}
	return query
}

// gathering names the replicas that have not answered.
type gathering struct {
	Unanswered []struct {
		peers.Replica

		Reason string `json:"reason"`
	} `json:"unanswered"`
	Alone bool `json:"alone"`
}

// tell warns that an answer lacks replicas.
func (g gathering) tell(std streams) {
	if g.Alone {
		_, _ = fmt.Fprintf(std.err, "%s: this emulator shares its world with no other: it was started without --store\n", program)
	}
	for _, one := range g.Unanswered {
		_, _ = fmt.Fprintf(std.err, "%s: the answer leaves out replica %q at %q: %s\n", program, one.Name, one.URL, one.Reason)
	}
}
