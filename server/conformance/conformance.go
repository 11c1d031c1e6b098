// Package conformance knows how a program should fare when Google's servers behave in ways that they are
// known for: a slow start, a moment of 503, rotated keys. It judges what a program did by how it ended, what
// it asked and what it printed.
//
// It does not run the program or the emulator: its caller does, and package fault makes the behaviour.
package conformance

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Outcome is how a program should end.
type Outcome string

// The outcomes.
const (
	Succeeds Outcome = "succeeds" // with exit status 0
	Fails    Outcome = "fails"    // with another exit status, in time
	Ends     Outcome = "ends"     // in time
)

// Behaviour is something that servers do.
type Behaviour struct {
	Name     string
	Does     string // what the servers do
	Program  Outcome
	Because  string            // why the program should end so
	Advised  bool              // programs are known to differ, so that another outcome is only a note
	Faults   []json.RawMessage // rules of package fault
	Clock    time.Duration     // by which the servers' clock is ahead of the machine's
	Rotates  bool              // the servers sign with new keys and no longer publish the old ones
	Metadata map[string]string // values by their paths
}

// Baseline is the name of the behaviour without anything odd.
const Baseline = "baseline"

// Behaviours returns all behaviours, the baseline first.
func Behaviours() []Behaviour {
	const largest = 256 << 10 // of an attribute (https://cloud.google.com/compute/docs/metadata/setting-custom-metadata)
	const skew = 10 * time.Minute
	token := func(rule string) []json.RawMessage {
		return []json.RawMessage{json.RawMessage(`{"route": "mds.token", ` + rule + `}`)}
	}
	all := func(rule string) []json.RawMessage {
		return []json.RawMessage{json.RawMessage(`{"route": "mds.*", ` + rule + `}`)}
	}
	return []Behaviour{
		{Name: Baseline, Does: "everything is as usual", Program: Succeeds, Because: "without that, nothing else can be judged"},
		{Name: "slow-start", Does: "the metadata server needs two seconds for each of the first two requests", Program: Succeeds, Faults: all(`"delay": "2s", "times": 2`), Because: "a machine that boots, and GKE's metadata server, need some seconds"},
		{Name: "unavailable-twice", Does: "the first two requests for an access token get 503", Program: Succeeds, Faults: token(`"status": 503, "times": 2`), Because: "Google says to retry a 503"},
		{Name: "unavailable", Does: "every request for an access token gets 503", Program: Fails, Faults: token(`"status": 503`), Because: "a program that waits for ever hides the failure"},
		{Name: "error-once", Does: "the first request for an access token gets 500", Program: Succeeds, Advised: true, Faults: token(`"status": 500, "times": 1`), Because: "Google's libraries retry after errors of a server"},
		{Name: "too-many-requests", Does: "the first request for an access token gets 429", Program: Succeeds, Advised: true, Faults: token(`"status": 429, "times": 1`), Because: "metadata servers limit requests, and answer a moment later"},
		{Name: "hang-up", Does: "the connection of the first request for an access token breaks off", Program: Succeeds, Advised: true, Faults: token(`"hangUp": true, "times": 1`), Because: "a migration to another host can break connections"},
		{Name: "no-account", Does: "there is no service account: 404 for each access token", Program: Fails, Faults: token(`"status": 404`), Because: "no retry helps"},
		{Name: "half-an-answer", Does: "access tokens are JSON that breaks off", Program: Fails, Advised: true, Faults: token(`"malformed": true`), Because: "an answer that cannot be read has no token"},
		{Name: "expiring-token", Does: "the first access token lives for five seconds", Program: Succeeds, Faults: token(`"body": {"access_token": "ya29.c.expiring", "expires_in": 5, "token_type": "Bearer"}, "times": 1`), Because: "a metadata server gives out a cached token until shortly before its end"},
		{Name: "rotated-keys", Does: "the servers sign with new keys, and the old ones are gone", Program: Succeeds, Rotates: true, Because: "Google rotates its keys, and a program must fetch them again"},
		{Name: "no-flavor", Does: "answers lack Metadata-Flavor: Google", Program: Fails, Advised: true, Faults: all(`"withoutHeader": "Metadata-Flavor"`), Because: "such a server is not Google's"},
		{Name: "redirect", Does: "the first request for an access token is led to itself by a 307", Program: Succeeds, Advised: true, Faults: token(`"status": 307, "location": "token", "times": 1`), Because: "metadata servers redirect, at least to the name with its slash"},
		{Name: "huge-attribute", Does: "an attribute has 256 KiB", Program: Succeeds, Metadata: map[string]string{"instance/attributes/conformance-huge": strings.Repeat("0123456789abcde\n", largest/16)}, Because: "that is the limit of Google's"},
		{Name: "clock-ahead", Does: "the servers' clock is ten minutes ahead", Program: Succeeds, Advised: true, Clock: skew, Because: "clocks differ, and expires_in does not depend on them"},
		{Name: "clock-behind", Does: "the servers' clock is ten minutes behind", Program: Succeeds, Advised: true, Clock: -skew, Because: "clocks differ, and expires_in does not depend on them"},
	}
}

// Observation is what a program did.
type Observation struct {
	Status   int           // exit status
	TimedOut bool          // it had to be ended
	Took     time.Duration // from its start to its end
	Output   string        // what it printed
	Requests []string      // the routes that it asked, in order
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

// Judge judges what a program did under a behaviour, given what it did under the baseline.
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
	if token := tokenIn(seen.Output); token != "" && (b.Name == Baseline || tokenIn(usual.Output) == "") {
		const shown = 12
		r.worse(Note, fmt.Sprintf("it printed a token (%s…), which logs would keep", token[:shown]))
	}
	if again := len(seen.Requests) - len(usual.Requests); again > 0 && r.Verdict == Good {
		r.Grounds = append(r.Grounds, fmt.Sprintf("%d requests more than usual", again))
	}
	return r
}

// tokenIn returns the first token in a text, or "".
func tokenIn(text string) string {
	return regexp.MustCompile(`\bya29\.[A-Za-z0-9_.-]{8,}|\beyJ[A-Za-z0-9_-]+\.eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{8,}`).FindString(text)
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
