package control

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/peers"
	"gcp-metadata-emulator/server/wildcard"
	"gcp-metadata-emulator/server/wire"
)

// requestsPath is the path of the journal.
const requestsPath = "/emulator/v1/requests"

// lookUp is a query of the journal.
type lookUp struct {
	filter journal.Filter
	since  uint64               // only exchanges after this sequence number; 0: all
	before uint64               // only exchanges before this sequence number; 0: all
	limit  int                  // maximum number of exchanges to return, the newest; 0: no limit
	expect *journal.Expectation // nil: no expectation
}

// exchange is an exchange, and the replica that has recorded it.
type exchange struct {
	journal.Exchange

	Replica string `json:"replica,omitempty"` // empty: the emulator is alone
}

// recorded is the answer of journals to a query.
type recorded struct {
	Requests  []exchange `json:"requests"`
	Count     int        `json:"count"`              // number of matching exchanges, returned or not
	Dropped   uint64     `json:"dropped"`            // number of exchanges that the journal has forgotten, matching or not
	DroppedTo time.Time  `json:"droppedTo,omitzero"` // no forgotten exchange has a later time
	Last      *uint64    `json:"last,omitempty"`     // sequence number of the newest exchange, for the next "since"; nil: of several journals

	gathering
}

// Requests lists exchanges in the journal, or in the journals of other replicas. If the query has an
// expectation and it is not met, Requests answers with an error.
func (s *Server) Requests(r *http.Request) (wire.Response, error) {
	wanted, err := s.readLookUp(r.URL.Query())
	if err != nil {
		return wire.Response{}, err
	}
	var remembered journal.Snapshot
	asked := r.URL.Query()
	asked.Del(replicaParameter)
	asked.Del("expect") // the number in one journal says nothing
	merged := merging{limit: wanted.limit}
	parts, of, err := gather(s, r, source[recorded]{
		asked: peers.Question{Method: http.MethodGet, Path: requestsPath, Query: asked},
		own: func() recorded {
			remembered = s.journal.Since(wanted.since)
			return wanted.find(remembered)
		},
		add: merged.add,
	})
	if err != nil {
		return wire.Response{}, err
	}
	if wanted.expect != nil {
		summary := "requests by replica: " + countsByReplica(parts, of.Unanswered)
		if of.Replica == s.peers.Own() {
			summary = "requests by route: " + countsByRoute(remembered.Exchanges)
		}
		if err := wanted.check(r, parts, of, summary); err != nil {
			return wire.Response{}, err
		}
	}
	answer := merged.done(of)
	return googleapi.JSON(answer), nil
}

// RouteNames lists the routes of requests in the journal, which faults can strike too.
func (s *Server) RouteNames(*http.Request) (wire.Response, error) {
	names := slices.Compact(slices.Sorted(slices.Values(s.routes())))
	return googleapi.JSON(struct {
		Routes []string `json:"routes"`
	}{names}), nil
}

// ClearRequests clears the journal, or the journals of other replicas.
func (s *Server) ClearRequests(r *http.Request) (wire.Response, error) {
	_, of, err := gather(s, r, source[gathering]{
		asked: peers.Question{Method: http.MethodDelete, Path: requestsPath},
		own: func() gathering {
			s.journal.Clear()
			return gathering{}
		},
	})
	if err != nil {
		return wire.Response{}, err
	}
	return googleapi.JSON(of), nil
}

// find returns the answer of this replica's journal to the query.
func (l *lookUp) find(remembered journal.Snapshot) recorded {
	found := recorded{Requests: []exchange{}, Dropped: remembered.Dropped, DroppedTo: remembered.DroppedTo, Last: &remembered.Last}
	for _, e := range remembered.Exchanges {
		if l.filter.Matches(e) && (l.before == 0 || e.Sequence < l.before) {
			found.Requests = append(found.Requests, exchange{Exchange: e})
		}
	}
	found.Count = len(found.Requests)
	if l.limit > 0 {
		found.Requests = found.Requests[max(0, found.Count-l.limit):]
	}
	return found
}

// check returns an error if the expectation is not met, with the counts. The expectation must hold for any
// number of matches among the forgotten exchanges, and among the exchanges of an unanswered replica.
func (l *lookUp) check(r *http.Request, parts []part[recorded], of gathering, summary string) error {
	found, forgotten := 0, uint64(0)
	for _, one := range parts {
		found += one.has.Count
		if !one.has.DroppedTo.Before(l.filter.From) { // otherwise all forgotten exchanges are older
			forgotten += one.has.Dropped
		}
	}
	most := found + int(min(forgotten, math.MaxInt32))
	if len(of.Unanswered) > 0 {
		most = math.MaxInt
	}
	if l.expect.Met(found, most) {
		return nil
	}
	message := fmt.Sprintf("expected %s, found %d for %q; %s", l.expect, found, r.URL.RawQuery, summary)
	if forgotten > 0 {
		message += fmt.Sprintf("; the journal has forgotten older requests (%d)", forgotten)
	}
	if most > found && l.expect.Possible(found, most) {
		message += ", so the result is undecided"
		if len(of.Unanswered) == 0 {
			message += `; use a later "since", or clear the journal before the test`
		}
	}
	return &googleapi.Error{Code: http.StatusPreconditionFailed, Message: message, Status: "FAILED_PRECONDITION"}
}

// countsByReplica says how many exchanges each replica has found.
func countsByReplica(parts []part[recorded], silent []peers.Unanswered) string {
	var counts []string
	for _, one := range parts {
		counts = append(counts, fmt.Sprintf("%s %d", one.of.Name, one.has.Count))
	}
	for _, one := range silent {
		counts = append(counts, one.Name+" has not answered")
	}
	return strings.Join(counts, ", ")
}

// countsByRoute counts exchanges by route.
func countsByRoute(exchanges []journal.Exchange) string {
	if len(exchanges) == 0 {
		return "none"
	}
	counts := map[string]int{}
	for _, e := range exchanges {
		counts[e.Route]++
	}
	var asked []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		asked = append(asked, fmt.Sprintf("%s %d", name, counts[name]))
	}
	return strings.Join(asked, ", ")
}

// readLookUp reads a query that Guard has checked.
func (s *Server) readLookUp(query url.Values) (lookUp, error) {
	var wanted lookUp
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if problem := wanted.set(name, query.Get(name)); problem != "" {
			return lookUp{}, googleapi.InvalidArgument(fmt.Sprintf("%q: %s", name, problem))
		}
	}
	if err := wildcard.Check(wanted.filter.Route, s.routes()); err != nil {
		return lookUp{}, googleapi.InvalidArgument(fmt.Sprintf(`"route": %v`, err))
	}
	if s.peers != nil && query.Get(replicaParameter) == allReplicas && wanted.since+wanted.before > 0 {
		return lookUp{}, googleapi.InvalidArgument(`each replica counts its own requests: with "replica=all", give "since" a time, and leave out "before"`)
	}
	return wanted, nil
}

// set stores the value of a parameter, or returns a description of the mistake.
func (l *lookUp) set(name, value string) string {
	switch name {
	case "since":
		return l.setSince(value)
	case "limit":
		return l.setLimit(value)
	case "before":
		return l.setBefore(value)
	case "expect":
		return l.setExpect(value)
	}
	filter, _, err := l.filter.With(name, value)
	if err != nil {
		return err.Error()
	}
	l.filter = filter
	return ""
}

// setSince stores a sequence number, or a time of the filter.
func (l *lookUp) setSince(value string) string {
	if sequence, err := strconv.ParseUint(value, 10, 64); err == nil {
		l.since = sequence
		return ""
	}
	filter, _, err := l.filter.With("since", value)
	if err != nil {
		return fmt.Sprintf("%q is not a sequence number or an RFC 3339 time", value)
	}
	l.filter = filter
	return ""
}

func (l *lookUp) setLimit(value string) (problem string) {
	l.limit, problem = readLimit(value)
	return problem
}

// readLimit reads a maximum number of requests, or returns a description of the mistake.
func readLimit(value string) (limit int, problem string) {
	limit, err := strconv.Atoi(value)
	if err != nil || limit <= 0 {
		return 0, fmt.Sprintf("%q is not a positive number of requests", value)
	}
	return limit, ""
}

func (l *lookUp) setBefore(value string) string {
	sequence, err := strconv.ParseUint(value, 10, 64)
	if err != nil || sequence == 0 {
		return fmt.Sprintf("%q is not a sequence number", value)
	}
	l.before = sequence
	return ""
}

func (l *lookUp) setExpect(value string) string {
	expected, err := journal.ParseExpectation(value)
	if err != nil {
		return err.Error()
	}
	l.expect = &expected
	return ""
}
