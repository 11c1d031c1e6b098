// Package explain describes the latest events in sentences: it looks for patterns in the latest exchanges
// of the journal, such as tokens that nobody verified, refusals that repeat, and clients that ask in vain.
//
// It owns the rules. Each rule is a function over a window of exchanges. It does not own the reasons of
// refusals, which the exchanges have. Its sentences depend on the window alone.
package explain

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gcp-metadata-emulator/server/journal"
)

// Window is a view of the latest time.
type Window struct {
	Exchanges []journal.Exchange // without secrets, oldest first
	Dropped   uint64             // the number of earlier exchanges that the journal has forgotten
	Unread    uint64             // the number of earlier exchanges that the journals have, and that are not here because there are too many replicas

	Now     time.Time // by the emulator's clock
	Machine time.Time // by the machine's clock
	Frozen  bool      // the emulator's clock stands
	Waiters []Waiters
}

// Waiters are the requests that wait for a change of an instance's metadata.
type Waiters struct {
	Instance string
	Count    int
	Since    time.Time // the first of them waits
}

// Finding is one sentence about the latest events.
type Finding struct {
	Rule     string   `json:"rule"`
	Sentence string   `json:"sentence"`
	Hint     string   `json:"hint,omitempty"`
	Requests []uint64 `json:"requests,omitempty"` // the sequence numbers of the exchanges that show it
}

// rule finds one kind of pattern in a window.
type rule struct {
	name string
	find func(Window) []Finding
}

// rules returns every rule, the most urgent first.
func rules() []rule {
	return []rule{
		{"nothing-asked", nothingAsked},
		{"fault", faultsStruck},
		{"refused", refusals},
		{"repeated", repetitions},
		{"unverified-tokens", unverified},
		{"verified-tokens", verified},
		{"token-polling", polling},
		{"callers", callers},
		{"clock", clock},
		{"waiting", waiting},
		{"forgotten", forgotten},
	}
}

// Explain returns the findings of the rules in a window. If there are none, it reports that nothing was
// refused.
func Explain(w Window) []Finding {
	found := []Finding{}
	for _, r := range rules() {
		for _, finding := range r.find(w) {
			finding.Rule = r.name
			found = append(found, finding)
		}
	}
	if len(found) == 0 {
		found = append(found, Finding{
			Rule:     "quiet",
			Sentence: fmt.Sprintf("the emulator has answered %s, and has refused none", count(len(w.Exchanges), "request")),
		})
	}
	return found
}

// group holds exchanges that have something in common.
type group struct{ exchanges []journal.Exchange }

// groups collects exchanges by a key, in the order of the first exchange of each group. An exchange
// without a key is in no group.
func groups(exchanges []journal.Exchange, key func(journal.Exchange) string) []group {
	var order []string
	members := map[string][]journal.Exchange{}
	for _, e := range exchanges {
		k := key(e)
		if k == "" {
			continue
		}
		if members[k] == nil {
			order = append(order, k)
		}
		members[k] = append(members[k], e)
	}
	var list []group
	for _, k := range order {
		list = append(list, group{members[k]})
	}
	return list
}

func (g group) first() journal.Exchange { return g.exchanges[0] }

func (g group) last() journal.Exchange { return g.exchanges[len(g.exchanges)-1] }

// took returns the time between the first and the last exchange.
func (g group) took() time.Duration { return g.last().Time.Sub(g.first().Time) }

// sequences returns the evidence of a finding about the group.
func (g group) sequences() []uint64 {
	numbers := make([]uint64, len(g.exchanges))
	for i, e := range g.exchanges {
		numbers[i] = e.Sequence
	}
	return numbers
}

// programs names the programs that have sent the requests of the group.
func (g group) programs() string {
	names := map[string]bool{}
	for _, e := range g.exchanges {
		names[program(e)] = true
	}
	const few = 3
	list := slices.Sorted(maps.Keys(names))
	if len(list) > few {
		return fmt.Sprintf("%d programs", len(list))
	}
	return strings.Join(list, " and ")
}

// program returns the name of the program that has sent a request.
func program(e journal.Exchange) string {
	name, _, _ := strings.Cut(e.UserAgent, " ")
	return cmp.Or(name, "a program without a User-Agent")
}

// join makes one key of several texts.
func join(texts ...string) string { return strings.Join(texts, "\x00") }

// count returns a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// were returns the verb for a number of things.
func were(n int) string {
	if n == 1 {
		return "was"
	}
	return "were"
}
