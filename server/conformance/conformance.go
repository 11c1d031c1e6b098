// Package conformance knows how a program should fare when Google's servers behave in known, unusual ways: a
// slow start, a moment of 503, rotated keys. It judges a program by its end, by its requests, and by tokens
// that it printed or wrote.
//
// It does not run the program or the emulator: its caller does, and package fault makes the behaviour.
package conformance

import (
	"encoding/json"
	"fmt"
	"time"

	"gcp-metadata-emulator/server/journal"
)

// Outcome is how a program should end.
type Outcome string

// The outcomes.
const (
	Succeeds Outcome = "succeeds" // with exit status 0
	Fails    Outcome = "fails"    // with another exit status, in time
)

// Behaviour is something that servers do.
type Behaviour struct {
	Name     string
	Does     string // what the servers do
	Program  Outcome
	Because  string            // why the program should end so
	Advised  bool              // programs are known to differ, so that another outcome is only a note
	Final    bool              // no retry helps
	Pause    time.Duration     // for which answers with an error ask to wait
	Faults   []json.RawMessage // rules of package fault
	Clock    time.Duration     // by which the servers' clock is ahead of the machine's
	Rotates  bool              // the servers sign with new keys and no longer publish the old ones
	Metadata map[string]string // values by their paths
}

// Baseline is the name of the behaviour without anything odd.
const Baseline = "baseline"

// Observation is the observed conduct of a program.
type Observation struct {
	Status   int           // exit status
	TimedOut bool          // it had to be ended
	Took     time.Duration // from its start to its end
	Output   string        // what it printed
	Files    []string      // the files with tokens that it wrote
	Requests []journal.Exchange
}

// Verdict is the judgement of one behaviour.
type Verdict string

// The verdicts.
const (
	Good Verdict = "ok"
	Note Verdict = "note" // it is worth knowing
	Bad  Verdict = "failed"
)

// Result is the judgement of one behaviour with its grounds.
type Result struct {
	Behaviour Behaviour
	Observed  Observation
	Verdict   Verdict
	Grounds   []string // sentences; empty if there is nothing to say
}

// Judge judges a program under a behaviour, given its conduct under the baseline.
func Judge(b Behaviour, seen, usual Observation) Result {
	r := Result{Behaviour: b, Observed: seen, Verdict: Good}
	switch {
	case seen.TimedOut:
		r.worse(Bad, "it did not end in time")
	case b.Program == Succeeds && seen.Status != 0:
		r.worse(b.atMost(), fmt.Sprintf("it ended with status %d and should succeed: %s", seen.Status, b.Because))
	case b.Program == Fails && seen.Status == 0:
		r.worse(b.atMost(), "it succeeded and should fail: "+b.Because)
	}
	if most := storm(len(usual.Requests)); len(seen.Requests) > most {
		r.worse(Bad, fmt.Sprintf("it sent %d requests, and %d usually: that is a storm", len(seen.Requests), len(usual.Requests)))
	}
	if len(seen.Requests) == 0 && b.Name == Baseline {
		r.worse(Bad, "it asked the emulator nothing, so that nothing can be learnt about it")
	}
	for _, find := range habits() {
		if ground := find(b, seen); ground != "" && (b.Name == Baseline || find(b, usual) == "") {
			r.worse(Note, ground)
		}
	}
	if again := len(seen.Requests) - len(usual.Requests); again > 0 && r.Verdict == Good {
		r.Grounds = append(r.Grounds, fmt.Sprintf("%d requests more than usual", again))
	}
	return r
}

// storm returns the number of requests that is still reasonable, given the usual number: each request may
// be repeated some times.
func storm(usual int) int {
	const each, some = 10, 20
	return usual*each + some
}

// atMost returns the verdict for an unexpected outcome.
func (b Behaviour) atMost() Verdict {
	if b.Advised {
		return Note
	}
	return Bad
}

// worse adds a ground, and makes the verdict worse if it has to be.
func (r *Result) worse(verdict Verdict, ground string) {
	if r.Verdict != Bad {
		r.Verdict = verdict
	}
	r.Grounds = append(r.Grounds, ground)
}
