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
	"gcp-metadata-emulator/server/wildcard"
	"gcp-metadata-emulator/server/wire"
)

// lookUp is a query of the journal.
type lookUp struct {
	filter journal.Filter
	since  uint64               // only exchanges after this sequence number; 0: all
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
		if wanted.filter.Matches(e) {
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
	setters := wanted.setters()
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if problem := setters[name](query.Get(name)); problem != "" {
			return lookUp{}, googleapi.InvalidArgument(fmt.Sprintf("%q: %s", name, problem))
		}
	}
	if err := wildcard.Check(wanted.filter.Route, s.routes); err != nil {
		return lookUp{}, googleapi.InvalidArgument(fmt.Sprintf(`"route": %v`, err))
	}
	return wanted, nil
}

// setters returns a function per parameter. It stores the value, or returns a description of the
// mistake.
func (l *lookUp) setters() map[string]func(string) string {
	text := func(field *string) func(string) string {
		return func(value string) string { *field = value; return "" }
	}
	return map[string]func(string) string{
		"route":    text(&l.filter.Route),
		"instance": text(&l.filter.Instance),
		"account":  text(&l.filter.Account),
		"audience": text(&l.filter.Audience),
		"status":   l.setStatus,
		"since":    l.setSince,
		"limit":    l.setLimit,
		"expect":   l.setExpect,
	}
}

func (l *lookUp) setStatus(value string) string {
	const digits = "0123456789"
	if class, ok := strings.CutSuffix(value, "xx"); ok && len(class) == 1 && strings.Contains(digits, class) ||
		strings.Trim(value, digits) == "" {
		l.filter.Status = value
		return ""
	}
	return fmt.Sprintf("%q is not a status; write 503 or 5xx", value)
}

func (l *lookUp) setSince(value string) string {
	if sequence, err := strconv.ParseUint(value, 10, 64); err == nil {
		l.since = sequence
		return ""
	}
	moment, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return fmt.Sprintf("%q is not a sequence number or an RFC 3339 time", value)
	}
	l.filter.From = moment
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

func (l *lookUp) setExpect(value string) string {
	expected, err := journal.ParseExpectation(value)
	if err != nil {
		return err.Error()
	}
	l.expect = &expected
	return ""
}
