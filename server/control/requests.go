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

// lookUp is what a request wants to know of the journal.
type lookUp struct {
	filter journal.Filter
	since  uint64               // the sequence number after which; 0: all
	limit  int                  // how many of the newest are shown; 0: all
	expect *journal.Expectation // nil: none
}

// Requests shows what was asked of the emulator, and answers with an error where it is not as
// often as is expected.
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
		Count    int                `json:"count"`   // of those that were looked for, shown or not
		Dropped  uint64             `json:"dropped"` // of all, which are no longer remembered
		Last     uint64             `json:"last"`    // the sequence number of the newest, to look on from
	}{found, len(found), remembered.Dropped, remembered.Last}
	if wanted.limit > 0 && len(found) > wanted.limit {
		answer.Requests = found[len(found)-wanted.limit:]
	}
	return googleapi.JSON(answer), nil
}

// ClearRequests forgets what was asked.
func (s *Server) ClearRequests(*http.Request) (wire.Response, error) {
	s.journal.Clear()
	return googleapi.JSON(struct{}{}), nil
}

// check says what was found in place of what was expected, and what was asked at all. It is not
// met where it is not known to be: what is no longer remembered counts as what may have been
// looked for.
func (l *lookUp) check(r *http.Request, found int, remembered journal.Snapshot) error {
	forgotten := remembered.Dropped
	if remembered.DroppedTo.Before(l.filter.From) { // all are older
		forgotten = 0
	}
	most := found + int(min(forgotten, math.MaxInt32))
	if l.expect.Met(found, most) {
		return nil
	}
	message := fmt.Sprintf("expected %s, found %d for %q; asked for: %s", l.expect, found, r.URL.RawQuery, summary(remembered.Exchanges))
	if forgotten > 0 {
		message += fmt.Sprintf("; %d older ones are no longer remembered", forgotten)
		if l.expect.Possible(found, most) {
			message += `, so that it cannot be decided; look from a later "since" on, or clear the journal beforehand`
		}
	}
	return &googleapi.Error{Code: http.StatusPreconditionFailed, Message: message, Status: "FAILED_PRECONDITION"}
}

// summary counts exchanges by their routes.
func summary(exchanges []journal.Exchange) string {
	if len(exchanges) == 0 {
		return "nothing"
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

// readLookUp reads the query, which the guard has checked.
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

// setters read the parameters, and say what is wrong with one.
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
	return fmt.Sprintf("%q is no status: write 503, or 5xx", value)
}

func (l *lookUp) setSince(value string) string {
	if sequence, err := strconv.ParseUint(value, 10, 64); err == nil {
		l.since = sequence
		return ""
	}
	moment, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return fmt.Sprintf("%q is no sequence number, and no time of RFC 3339", value)
	}
	l.filter.From = moment
	return ""
}

func (l *lookUp) setLimit(value string) string {
	limit, err := strconv.Atoi(value)
	if err != nil || limit <= 0 {
		return fmt.Sprintf("%q is not a number of requests", value)
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
