package explain

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/reason"
)

// nothingAsked finds that no client has come.
func nothingAsked(w Window) []Finding {
	if len(w.Exchanges) > 0 || w.Dropped > 0 {
		return nil
	}
	return []Finding{{
		Sentence: "no client has reached this emulator since it started, or since its journal was cleared",
		Hint:     "gcp-metadata-emulator doctor says which server each client library finds, and why",
	}}
}

// faultsStruck finds the requests that faults have struck.
func faultsStruck(w Window) []Finding {
	var found []Finding
	for _, g := range groups(w.Exchanges, func(e journal.Exchange) string { return e.Fault }) {
		found = append(found, Finding{
			Sentence: fmt.Sprintf("the fault %q struck %s of %s", g.first().Fault, count(len(g.exchanges), "request"), g.first().Route),
			Hint:     "DELETE /emulator/v1/faults removes all faults",
			Requests: g.sequences(),
		})
	}
	return found
}

// refusals finds why requests were refused. Requests with the same reason make one sentence.
func refusals(w Window) []Finding {
	var found []Finding
	for _, g := range groups(w.Exchanges, func(e journal.Exchange) string {
		if e.Code == "" || e.Code == reason.Fault {
			return ""
		}
		return join(string(e.Code), e.Reason, e.Caller)
	}) {
		last := g.last()
		verb := were(len(g.exchanges)) + " refused"
		if last.Status > 0 && last.Status < 400 {
			verb = "would be refused if policies were enforced"
		}
		found = append(found, Finding{
			Sentence: fmt.Sprintf("%s of %s to %s %s: %s", count(len(g.exchanges), "request"), g.programs(), place(last), verb, last.Reason),
			Hint:     last.Hint,
			Requests: g.sequences(),
		})
	}
	return found
}

// place names the target of a request: its route or, if the emulator plays none, its host.
func place(e journal.Exchange) string {
	unrouted := e.Code == reason.NotPlayed || e.Code == reason.ForeignHost || e.Code == reason.NotProxied
	if unrouted && e.Host != "" {
		return fmt.Sprintf("%q", e.Host)
	}
	return e.Route
}

// repetitions finds programs that send a refused request again and again.
func repetitions(w Window) []Finding {
	const many, soon = 5, time.Minute
	var found []Finding
	for _, g := range groups(w.Exchanges, func(e journal.Exchange) string {
		if e.Status < 400 || e.Code == reason.AuthorizationPending {
			return ""
		}
		return join(e.Method, e.Path, e.UserAgent)
	}) {
		if len(g.exchanges) < many || g.took() > soon {
			continue
		}
		found = append(found, Finding{
			Sentence: fmt.Sprintf("%s has sent %s %s %d times in %s, and each was answered with an error, last with %d: it tries again at once",
				g.programs(), g.last().Method, g.last().Path, len(g.exchanges), g.took().Round(time.Millisecond), g.last().Status),
			Hint:     "the answer does not change by itself: see why the request is refused",
			Requests: g.sequences(),
		})
	}
	return found
}

// isKeys reports whether a request was for keys with which ID tokens are verified.
func isKeys(e journal.Exchange) bool {
	return e.Status == 200 && slices.Contains([]string{"keys.jwks", "keys.certs", "oauth2.tokeninfo"}, e.Route)
}

// givenOut yields the issued ID tokens, by audience, each with the later requests for keys. A door
// verifies the tokens for its service by itself.
func givenOut(w Window, each func(tokens, keys group)) {
	for _, tokens := range groups(w.Exchanges, func(e journal.Exchange) string {
		if e.Status != 200 || e.Fault != "" {
			return ""
		}
		return e.Audience
	}) {
		var keys group
		for _, e := range w.Exchanges {
			if e.Sequence > tokens.first().Sequence && isKeys(e) {
				keys.exchanges = append(keys.exchanges, e)
			}
		}
		if !isVerifiedByDoor(w, tokens.first()) {
			each(tokens, keys)
		}
	}
}

// isVerifiedByDoor reports whether a door has seen a request of the account since the token was given out.
func isVerifiedByDoor(w Window, token journal.Exchange) bool {
	return slices.ContainsFunc(w.Exchanges, func(e journal.Exchange) bool {
		return e.Sequence > token.Sequence && strings.HasPrefix(e.Route, "ingress.") && e.Account == token.Account
	})
}

// unverified finds ID tokens that nobody seems to verify.
func unverified(w Window) []Finding {
	var found []Finding
	givenOut(w, func(tokens, keys group) {
		if len(keys.exchanges) > 0 {
			return
		}
		n := len(tokens.exchanges)
		found = append(found, Finding{
			Sentence: fmt.Sprintf("%s for %s %s given out; nobody has asked for the published keys since, so the service there verifies nothing or has them cached",
				count(n, "ID token"), tokens.first().Audience, were(n)),
			Hint:     "see whether the service refuses a forged token: gcp-metadata-emulator token id --audience " + tokens.first().Audience + " --defect tampered",
			Requests: tokens.sequences(),
		})
	})
	return found
}

// verified finds ID tokens with a receiver that has asked for the published keys.
func verified(w Window) []Finding {
	var found []Finding
	givenOut(w, func(tokens, keys group) {
		if len(keys.exchanges) == 0 {
			return
		}
		n := len(tokens.exchanges)
		found = append(found, Finding{
			Sentence: fmt.Sprintf("%s for %s %s given out, and %s has asked for the published keys since: if the service still refuses the tokens, it does so by a rule of its own",
				count(n, "ID token"), tokens.first().Audience, were(n), keys.programs()),
			Hint:     "compare the audience and the issuer that the service expects: gcp-metadata-emulator verify --for oidc TOKEN",
			Requests: append(tokens.sequences(), keys.sequences()...),
		})
	})
	return found
}

// polling finds programs that ask for tokens again before these expire.
func polling(w Window) []Finding {
	const many, soon = 10, time.Minute
	var found []Finding
	for _, g := range groups(w.Exchanges, func(e journal.Exchange) string {
		if e.Route != "mds.token" && e.Route != "mds.identity" || e.Status != 200 {
			return ""
		}
		return join(e.Route, e.Instance, e.Account, e.Audience, e.UserAgent)
	}) {
		if len(g.exchanges) < many || g.took() > soon {
			continue
		}
		found = append(found, Finding{
			Sentence: fmt.Sprintf("%s has asked %d times in %s for a token of %s: it does not keep tokens until they expire",
				g.programs(), len(g.exchanges), g.took().Round(time.Millisecond), g.first().Account),
			Hint:     "keep one credentials object for the whole program, in place of a new one for each request",
			Requests: g.sequences(),
		})
	}
	return found
}

// callers finds the instances that got requests because of the callers' addresses.
func callers(w Window) []Finding {
	const many = 5
	byAddress := func(key func(e journal.Exchange) string) []group {
		return groups(w.Exchanges, func(e journal.Exchange) string {
			if e.Peer == "" || e.Instance == "" {
				return ""
			}
			return key(e)
		})
	}
	instances := byAddress(func(e journal.Exchange) string { return e.Instance })
	about := func(g group) string { return fmt.Sprintf("the instance %q", g.first().Instance) }
	if len(instances) > many {
		n := len(instances)
		instances = byAddress(func(journal.Exchange) string { return "all" })
		about = func(group) string { return count(n, "instance") }
	}
	var found []Finding
	for _, g := range instances {
		from := "the address " + g.first().Peer
		if peers := groups(g.exchanges, func(e journal.Exchange) string { return e.Peer }); len(peers) > 1 {
			from = fmt.Sprintf("%d addresses", len(peers))
		}
		found = append(found, Finding{
			Sentence: fmt.Sprintf("%s from %s %s for %s, because of the address", count(len(g.exchanges), "request"), from, were(len(g.exchanges)), about(g)),
			Requests: g.sequences(),
		})
	}
	return found
}

// clock finds a clock that differs from the machine's.
func clock(w Window) []Finding {
	const tolerance = time.Minute
	offset := w.Now.Sub(w.Machine)
	now := w.Now.UTC().Format(time.RFC3339)
	switch {
	case w.Frozen:
		return []Finding{{
			Sentence: fmt.Sprintf("the emulator's clock is frozen at %s, which is %s from the machine's time: tokens neither expire nor become valid there", now, offset.Abs().Round(time.Second)),
			Hint:     `PUT /emulator/v1/clock {"frozen": false} lets it run`,
		}}
	case offset.Abs() > tolerance:
		return []Finding{{
			Sentence: fmt.Sprintf("the emulator's clock says %s, which is %s from the machine's time: programs with the machine's time may take tokens for expired, or for not yet valid", now, offset.Abs().Round(time.Second)),
			Hint:     "POST /emulator/v1/reset restores the machine's time, and everything else",
		}}
	default:
		return nil
	}
}

// waiting finds requests that wait for a change of metadata.
func waiting(w Window) []Finding {
	var found []Finding
	for _, waiters := range w.Waiters {
		verb := "wait"
		if waiters.Count == 1 {
			verb = "waits"
		}
		found = append(found, Finding{
			Sentence: fmt.Sprintf("%s %s for a change of the metadata of instance %q, the first since %s", count(waiters.Count, "request"), verb, waiters.Instance, waiters.Since.UTC().Format(time.RFC3339)),
			Hint:     "PUT /emulator/v1/instances/" + waiters.Instance + "/metadata/PATH changes an entry",
		})
	}
	return found
}

// forgotten finds that the journal has forgotten exchanges, or that some of them are missing here.
func forgotten(w Window) []Finding {
	number := func(of uint64) string { return count(int(min(of, 1<<31-1)), "earlier request") }
	var found []Finding
	if w.Dropped > 0 {
		found = append(found, Finding{Sentence: fmt.Sprintf("the journal has forgotten %s, about which nothing is said here", number(w.Dropped))})
	}
	if w.Unread > 0 {
		found = append(found, Finding{
			Sentence: number(w.Unread) + " of the replicas are left out, because the replicas are many",
			Hint:     "GET /emulator/v1/explain?replica=NAME is about all requests of one replica",
		})
	}
	return found
}
