package fault

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/wildcard"
)

// Rule says which requests go wrong, how, and how often. Names are patterns (see package
// wildcard).
type Rule struct {
	Route string `json:"route"`
	Match Match  `json:"match,omitzero"`

	// What happens. Without a status and a body the surface answers as ever.
	Status        int             `json:"status,omitempty"`        // with Google's body, unless there is one
	Body          json.RawMessage `json:"body,omitempty"`          // a text, or any JSON
	Delay         clock.Duration  `json:"delay,omitempty"`         // of the machine's time
	HangUp        HangUp          `json:"hangUp,omitempty"`        // instead of an answer, or during it
	Malformed     bool            `json:"malformed,omitempty"`     // the answer's body breaks off, as if it were whole
	WithoutHeader string          `json:"withoutHeader,omitempty"` // a field that the answer lacks
	Outage        Outage          `json:"outage,omitempty"`        // stands for some of these
	Defect        string          `json:"defect,omitempty"`        // what is wrong with the token that is answered with

	// To which of the requests that match: all, where it says nothing.
	After       int            `json:"after,omitempty"`       // not to the first ones
	Every       int            `json:"every,omitempty"`       // to each so-manieth after those
	Times       int            `json:"times,omitempty"`       // to so many at the most
	For         clock.Duration `json:"for,omitempty"`         // while so much emulator time passes
	Probability float64        `json:"probability,omitempty"` // to each with this one
	Seed        uint64         `json:"seed,omitempty"`        // of the probability's draws; 0: any
}

// Match is what a request is about. Empty fields say nothing.
type Match struct {
	Account  string `json:"account,omitempty"`
	Audience string `json:"audience,omitempty"`
	Path     string `json:"path,omitempty"` // without the query
}

// HangUp says when a connection ends without a whole answer.
type HangUp string

// The moments of a HangUp.
const (
	Never      HangUp = ""
	BeforeAny  HangUp = "before" // before anything is sent
	DuringBody HangUp = "body"   // when half of the body has been sent
)

// UnmarshalJSON reads true for before any of the answer is sent, too.
func (h *HangUp) UnmarshalJSON(data []byte) error {
	switch string(data) {
	case "true":
		*h = BeforeAny
	case "false", "null":
		*h = Never
	default:
		var text string
		if err := json.Unmarshal(data, &text); err != nil {
			return fmt.Errorf(`%s is no moment to hang up: write true, "before" or "body"`, data)
		}
		*h = HangUp(text)
	}
	return nil
}

// Outage is a time in which the metadata server cannot be used, as Google's users know it.
type Outage string

// The outages. While a machine boots, nothing answers yet; when it is moved to another host,
// its metadata server is unavailable for a moment.
const (
	NoOutage      Outage = ""
	Boot          Outage = "boot"
	LiveMigration Outage = "live-migration"
)

// RuleError says what is wrong with a rule.
type RuleError struct {
	Field   string // as JSON names it; empty: the whole
	Problem string
}

func (e *RuleError) Error() string {
	if e.Field == "" {
		return e.Problem
	}
	return fmt.Sprintf("%q: %s", e.Field, e.Problem)
}

// expanded is the rule with what its outage stands for.
func (r Rule) expanded() Rule {
	if r.Outage != NoOutage && r.Route == "" {
		r.Route = "mds.*"
	}
	switch r.Outage {
	case Boot:
		r.HangUp = BeforeAny
	case LiveMigration:
		const unavailable = 503
		r.Status = unavailable
	case NoOutage:
	}
	return r
}

// check says what is wrong with a rule, of which the outage has not been expanded.
func (r Rule) check(routes []string, defects Defects) error {
	for _, one := range []func() *RuleError{
		r.checkEffect, r.checkOutage, func() *RuleError { return checkRoute(r.expanded().Route, routes) },
		func() *RuleError { return r.checkDefect(defects) }, r.checkMatch, r.checkChoice,
	} {
		if problem := one(); problem != nil {
			return problem
		}
	}
	return nil
}

func checkRoute(route string, routes []string) *RuleError {
	if route == "" {
		return &RuleError{"route", `a fault needs the name of a route, such as "mds.token" or "mds.*"`}
	}
	if err := wildcard.Check(route, routes); err != nil {
		return &RuleError{"route", err.Error()}
	}
	return nil
}

func (r Rule) checkEffect() *RuleError {
	const lowest, ok, highest = 200, 200, 599
	switch {
	case r.Status != 0 && (r.Status < lowest || r.Status > highest):
		return &RuleError{"status", fmt.Sprintf("%d is no status of an answer: those are %d to %d", r.Status, lowest, highest)}
	case r.Delay < 0 || time.Duration(r.Delay) > time.Hour:
		return &RuleError{"delay", "a delay is not negative, and at most an hour"}
	case r.HangUp != Never && r.HangUp != BeforeAny && r.HangUp != DuringBody:
		return &RuleError{"hangUp", fmt.Sprintf(`%q is no moment to hang up: write true, "before" or "body"`, string(r.HangUp))}
	case string(r.Body) == "null":
		return &RuleError{"body", `null is no body: write "" for an empty one`}
	case r.Status == ok && r.Body == nil && r.Defect == "":
		return &RuleError{"status", `200 says nothing: write a "body" with it`}
	case r.WithoutHeader != "" && !isFieldName(r.WithoutHeader):
		return &RuleError{"withoutHeader", fmt.Sprintf("%q is no name of a header field", r.WithoutHeader)}
	case isFraming(r.WithoutHeader):
		return &RuleError{"withoutHeader", fmt.Sprintf(`%q says where the answer ends, and cannot be missing; write "hangUp": "body"`, r.WithoutHeader)}
	case r.Status == 0 && r.Body == nil && r.Delay == 0 && r.HangUp == Never && !r.Malformed && r.WithoutHeader == "" &&
		r.Outage == NoOutage && r.Defect == "":
		return &RuleError{"", `a fault needs an effect: "status", "body", "delay", "hangUp", "malformed", "withoutHeader", "outage" or "defect"`}
	}
	return nil
}

// strikes tells whether a rule does anything to an answer of a kind: there may be no body to
// break off, no token to spoil, or no header of HTTP.
func (r Rule) strikes(answer Answer) bool {
	const ok = 200
	switch answer {
	case WithoutBody:
		return r.Defect == "" && (r.Status != 0 || r.Body != nil || r.Delay > 0 || r.HangUp != Never || r.WithoutHeader != "")
	case Message:
		return r.Status != 0 && r.Status != ok || r.Delay > 0 || r.HangUp != Never || r.Malformed || r.Defect != ""
	case WithBody:
	}
	return true
}

// Defects are those that the tokens of a route can have, for each route that gives out some.
type Defects map[string][]string

// of are the defects that tokens of some of the routes can have, in the order in which the
// longest list has them.
func (d Defects) of(routes string) (possible []string, minted bool) {
	for name, defects := range d {
		if wildcard.Match(routes, name) && len(defects) > len(possible) {
			possible = defects
		}
	}
	return possible, len(possible) > 0
}

func (r Rule) checkDefect(defects Defects) *RuleError {
	if r.Defect == "" {
		return nil
	}
	possible, minted := defects.of(r.Route)
	switch {
	case !minted:
		return &RuleError{"defect", fmt.Sprintf("no token is given out by %q; those that do are: %s",
			r.Route, strings.Join(slices.Sorted(maps.Keys(defects)), ", "))}
	case !slices.Contains(possible, r.Defect):
		return &RuleError{"defect", fmt.Sprintf("the tokens of %q cannot be %q; they can be: %s", r.Route, r.Defect, strings.Join(possible, ", "))}
	case r.Status != 0 || r.Body != nil || r.HangUp == BeforeAny || r.Outage != NoOutage:
		return &RuleError{"defect", "a defect is one of a token that is answered with: there can be no status, body, hangUp before it or outage"}
	}
	return nil
}

// isFieldName tells whether a text is a token of RFC 9110, section 5.6.2.
func isFieldName(text string) bool {
	const others = "!#$%&'*+-.^_`|~"
	return !strings.ContainsFunc(text, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune(others, r)
	})
}

// isFraming tells of the fields by which an answer is read.
func isFraming(field string) bool {
	return slices.ContainsFunc([]string{"Content-Length", "Transfer-Encoding", "Connection"}, func(name string) bool { return strings.EqualFold(name, field) })
}

func (r Rule) checkOutage() *RuleError {
	switch {
	case r.Outage == NoOutage:
	case r.Outage != Boot && r.Outage != LiveMigration:
		return &RuleError{"outage", fmt.Sprintf("%q is no outage; there are: %q, %q", string(r.Outage), string(Boot), string(LiveMigration))}
	case r.Status != 0 || r.Body != nil || r.HangUp != Never || r.Malformed:
		return &RuleError{"outage", "an outage says what is answered: there can be no other status, body or hangUp with it"}
	}
	return nil
}

func (r Rule) checkMatch() *RuleError {
	if path := r.Match.Path; path != "" && !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "*") {
		return &RuleError{"match.path", fmt.Sprintf(`%q matches no path: they begin with "/"`, path)}
	}
	return nil
}

func (r Rule) checkChoice() *RuleError {
	for field, count := range map[string]int{"after": r.After, "every": r.Every, "times": r.Times, "for": int(r.For)} {
		if count < 0 {
			return &RuleError{field, "it cannot be negative"}
		}
	}
	switch {
	case r.Probability < 0 || r.Probability > 1 || math.IsNaN(r.Probability):
		return &RuleError{"probability", "a probability is from 0 to 1"}
	case r.Seed != 0 && r.Probability == 0:
		return &RuleError{"seed", "a seed is for a probability"}
	}
	return nil
}

// Replacement is the body that the rule puts in place of the surface's, and its content type.
func (r Rule) Replacement() (body, contentType string, ok bool) {
	if r.Body == nil {
		return "", "", false
	}
	if json.Unmarshal(r.Body, &body) == nil {
		return body, "text/plain; charset=utf-8", true
	}
	var compact bytes.Buffer
	if json.Compact(&compact, r.Body) != nil { // a rule comes of JSON that could be read
		return "", "", false
	}
	return compact.String(), "application/json; charset=UTF-8", true
}
