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

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/wildcard"
	"gcp-metadata-emulator/server/wire"
)

// lookUp is a query of the journal.
type lookUp struct {
	filter journal.Filter
	since  uint64               // only exchanges after this sequence number; 0: all
	before uint64               // only exchanges before this sequence number; 0: all
	limit  int                  // maximum number of exchanges to return, the newest; 0: no limit
	expect *journal.Expectation // nil: no expectation
}

// Requests lists exchanges in the journal. If the query has an expectation that is not met, it
// answers with an error.
func (s *Server) Requests(r *http.Request) (wire.Response, error) {
	wanted, err := s.readLookUp(r.URL.Query())
	if err != nil {
		return wire.Response{}, err
	}
	remembered := s.journal.Since(wanted.since)
	found := []journal.Exchange{}
	for _, e := range remembered.Exchanges {
		if wanted.filter.Matches(e) && (wanted.before == 0 || e.Sequence < wanted.before) {
			found = append(found, e)
		}
	}
	if wanted.expect != nil {
		if err := wanted.check(r, len(found), remembered); err != nil {
			return wire.Response{}, err
		}
	}
	answer := struct {
		Requests []journal.Exchange `json:"requests"`
		Count    int                `json:"count"`   // number of matching exchanges, returned or not
		Dropped  uint64             `json:"dropped"` // number of exchanges that the journal has forgotten, matching or not
		Last     uint64             `json:"last"`    // sequence number of the newest exchange, for the next "since"
	}{found, len(found), remembered.Dropped, remembered.Last}
	if wanted.limit > 0 && len(found) > wanted.limit {
		answer.Requests = found[len(found)-wanted.limit:]
	}
	return googleapi.JSON(answer), nil
}

// RouteNames lists the routes of requests in the journal, which faults can strike too.
func (s *Server) RouteNames(*http.Request) (wire.Response, error) {
	names := slices.Compact(slices.Sorted(slices.Values(s.routes())))
	return googleapi.JSON(struct {
		Routes []string `json:"routes"`
	}{names}), nil
}

// ClearRequests clears the journal.
func (s *Server) ClearRequests(*http.Request) (wire.Response, error) {
	s.journal.Clear()
	return googleapi.JSON(struct{}{}), nil
}

// check returns an error if the expectation is not met, with the counts that were found. The
// expectation must hold however many of the forgotten exchanges matched.
func (l *lookUp) check(r *http.Request, found int, remembered journal.Snapshot) error {
	forgotten := remembered.Dropped
	if remembered.DroppedTo.Before(l.filter.From) { // all forgotten exchanges are older
		forgotten = 0
	}
	most := found + int(min(forgotten, math.MaxInt32))
	if l.expect.Met(found, most) {
		return nil
	}
	message := fmt.Sprintf("expected %s, found %d for %q; requests by route: %s", l.expect, found, r.URL.RawQuery, summary(remembered.Exchanges))
	if forgotten > 0 {
		message += fmt.Sprintf("; the journal has forgotten older requests (%d)", forgotten)
		if l.expect.Possible(found, most) {
			message += `, so the result is undecided; use a later "since", or clear the journal before the test`
		}
	}
	return &googleapi.Error{Code: http.StatusPreconditionFailed, Message: message, Status: "FAILED_PRECONDITION"}
}

// summary counts exchanges by route.
func summary(exchanges []journal.Exchange) string {
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

func (l *lookUp) setLimit(value string) string {
	limit, err := strconv.Atoi(value)
	if err != nil || limit <= 0 {
		return fmt.Sprintf("%q is not a positive number of requests", value)
	}
	l.limit = limit
	return ""
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
