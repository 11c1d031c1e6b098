package cli

import (
	"fmt"
	"net/url"

	"gcp-metadata-emulator/server/peers"
)

// replicaFlags holds the flag of commands that ask what each replica has for itself.
type replicaFlags struct {
	Replica string `env:"-" placeholder:"NAME" help:"Ask the replica with this name, or all replicas with \"all\" (default: the replica at --url)."`
}

// ask adds to a query which replicas it is about.
func (f replicaFlags) ask(query url.Values) url.Values {
	if f.Replica != "" {
		query.Set("replica", f.Replica)
	}
	return query
}

// gathering says of which replicas an answer is not.
type gathering struct {
	Unanswered []struct {
		peers.Replica

		Reason string `json:"reason"`
	} `json:"unanswered"`
	Alone bool `json:"alone"`
}

// tell warns of what an answer lacks.
func (g gathering) tell(std streams) {
	if g.Alone {
		_, _ = fmt.Fprintf(std.err, "%s: this emulator shares its world with no other: it was started without --store\n", program)
	}
	for _, one := range g.Unanswered {
		_, _ = fmt.Fprintf(std.err, "%s: what replica %q at %q has is missing: %s\n", program, one.Name, one.URL, one.Reason)
	}
}
