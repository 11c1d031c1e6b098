package fault

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/wildcard"
)

// Rule says which requests go wrong, how, and how often. Names are patterns (see package
// wildcard).
type Rule struct {
	Route string `json:"route"`
	Match Match  `json:"match,omitzero"`

	// The effects. Without a status and a body the surface answers as usual.
	Status        int               `json:"status,omitempty"`        // with Google's body unless Body is set
	Body          json.RawMessage   `json:"body,omitempty"`          // a string or any other JSON value
	Location      string            `json:"location,omitempty"`      // of an answer whose status is that of a redirect
	Delay         fixtures.Duration `json:"delay,omitempty"`         // by the machine's clock
	HangUp        HangUp            `json:"hangUp,omitempty"`        // before or during the answer
	Malformed     bool              `json:"malformed,omitempty"`     // ends the body halfway, with a matching Content-Length
	WithoutHeader string            `json:"withoutHeader,omitempty"` // removes this header field
	WithHeader    map[string]string `json:"withHeader,omitempty"`    // sets these header fields
	Outage        Outage            `json:"outage,omitempty"`        // a named set of effects
	Defect        string            `json:"defect,omitempty"`        // the defect of the minted token

	// Which of the matching requests to strike. All of them if these fields are empty.
	After       int               `json:"after,omitempty"`       // skip this many requests
	Every       int               `json:"every,omitempty"`       // then strike every Nth request
	Times       int               `json:"times,omitempty"`       // strike at most this often
	For         fixtures.Duration `json:"for,omitempty"`         // end after this time, by the emulator's clock
	Probability float64           `json:"probability,omitempty"` // strike each request with this probability
	Seed        uint64            `json:"seed,omitempty"`        // seeds the draws; 0: a random seed
}

// Match narrows the requests of a route. Empty fields match everything; the others are
// patterns.
type Match struct {
	Account  string `json:"account,omitempty"`
	Audience string `json:"audience,omitempty"`
	Path     string `json:"path,omitempty"` // without the query
}

// HangUp says when a connection breaks off.
type HangUp string

// The values of a HangUp.
const (
	Never      HangUp = ""
	BeforeAny  HangUp = "before" // before anything is sent
	DuringBody HangUp = "body"   // when half of the body has been sent
)

// UnmarshalJSON also accepts true, which means "before".
func (h *HangUp) UnmarshalJSON(data []byte) error {
	switch string(data) {
	case "true":
		*h = BeforeAny
	case "false", "null":
		*h = Never
	default:
		var text string
		if err := json.Unmarshal(data, &text); err != nil {
			return fmt.Errorf(`%s is not a moment to hang up: write true, "before" or "body"`, data)
		}
		*h = HangUp(text)
	}
	return nil
}

// Outage is a time in which the metadata server is unavailable, as it happens on Google Cloud.
type Outage string

// The outages. The metadata server does not answer while a machine boots, and answers 503 for a
// moment when a machine moves to another host.
const (
	NoOutage      Outage = ""
	Boot          Outage = "boot"
	LiveMigration Outage = "live-migration"
)

// RuleError describes a mistake in a rule.
type RuleError struct {
	Field   string // the name in JSON; empty: the whole rule
	Problem string
}

func (e *RuleError) Error() string {
	if e.Field == "" {
		return e.Problem
	}
	return fmt.Sprintf("%q: %s", e.Field, e.Problem)
}

// expanded returns the rule with its outage replaced by the effects of the outage.
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

// check validates a rule before the expansion of its outage.
func (r Rule) check(routes []string, defects Defects) error {
	for _, one := range []func() *RuleError{
		r.checkEffect, r.checkHeader, r.checkOutage, func() *RuleError { return checkRoute(r.expanded().Route, routes) },
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
		return &RuleError{"status", fmt.Sprintf("%d is not an HTTP status of an answer: give one from %d to %d", r.Status, lowest, highest)}
	case r.Delay < 0 || time.Duration(r.Delay) > time.Hour:
		return &RuleError{"delay", `a delay is from "0s" to "1h"`}
	case r.HangUp != Never && r.HangUp != BeforeAny && r.HangUp != DuringBody:
		return &RuleError{"hangUp", fmt.Sprintf(`%q is not a moment to hang up: write true, "before" or "body"`, string(r.HangUp))}
	case string(r.Body) == "null":
		return &RuleError{"body", `null is not a body: write "" for an empty one`}
	case r.Status == ok && r.Body == nil && r.Defect == "":
		return &RuleError{"status", `200 changes nothing on its own: add a "body"`}
	case r.Location != "" && !r.redirects():
		return &RuleError{"location", `it needs a "status" of a redirect: 301, 302, 303, 307 or 308`}
	case r.Location != "" && !isReference(r.Location):
		return &RuleError{"location", fmt.Sprintf("%q is not a URL", r.Location)}
	case r.Status == 0 && r.Body == nil && r.Delay == 0 && r.HangUp == Never && !r.Malformed && !r.changesHeader() &&
		r.Outage == NoOutage && r.Defect == "":
		return &RuleError{"", `a fault needs an effect: "status", "body", "delay", "hangUp", "malformed", "withoutHeader", "withHeader", "outage" or "defect"`}
	}
	return nil
}

// changesHeader reports whether the rule removes or sets header fields.
func (r Rule) changesHeader() bool { return r.WithoutHeader != "" || len(r.WithHeader) > 0 }

func (r Rule) checkHeader() *RuleError {
	if problem := checkField("withoutHeader", r.WithoutHeader); r.WithoutHeader != "" && problem != nil {
		return problem
	}
	for _, name := range slices.Sorted(maps.Keys(r.WithHeader)) {
		value := r.WithHeader[name]
		if problem := checkField("withHeader", name); problem != nil {
			return problem
		}
		switch {
		case value == "":
			return &RuleError{"withHeader", fmt.Sprintf(`%q needs a value: use "withoutHeader" to remove the field`, name)}
		case !httpguts.ValidHeaderFieldValue(value):
			return &RuleError{"withHeader", fmt.Sprintf("%q is not the value of a header field", value)}
		case strings.EqualFold(name, r.WithoutHeader):
			return &RuleError{"withHeader", fmt.Sprintf(`%q is also in "withoutHeader": leave it out of one of them`, name)}
		}
	}
	return nil
}

// checkField checks the name of a header field that a member of the rule removes or sets.
func checkField(member, name string) *RuleError {
	switch {
	case !httpguts.ValidHeaderFieldName(name):
		return &RuleError{member, fmt.Sprintf("%q is not the name of a header field", name)}
	case isFraming(name):
		return &RuleError{member, fmt.Sprintf(`%q marks the end of the answer and cannot be changed: use "hangUp": "body" instead`, name)}
	}
	return nil
}

// redirects reports whether the status is that of a redirect (RFC 9110 section 15.4).
func (r Rule) redirects() bool {
	return slices.Contains([]int{301, 302, 303, 307, 308}, r.Status)
}

// isReference reports whether a text can be the value of a Location field.
func isReference(text string) bool {
	at, err := url.Parse(text)
	return err == nil && at.String() == text
}

// strikes reports whether the rule can change an answer of this form. An answer may have no body to
// cut, no token to spoil or no HTTP header.
func (r Rule) strikes(answer Answer) bool {
	const ok = 200
	switch answer {
	case WithoutBody:
		return r.Defect == "" && (r.Status != 0 || r.Body != nil || r.Delay > 0 || r.HangUp != Never || r.changesHeader())
	case Message:
		return r.Status != 0 && r.Status != ok || r.Delay > 0 || r.HangUp != Never || r.Malformed || r.Defect != ""
	case WithBody:
	}
	return true
}

// Defects lists the possible defects of tokens, by route.
type Defects map[string][]string

// of returns the possible defects for a pattern of routes: the longest list of all matching
// routes.
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
		return &RuleError{"defect", fmt.Sprintf("%q issues no tokens; use one of: %s",
			r.Route, strings.Join(slices.Sorted(maps.Keys(defects)), ", "))}
	case !slices.Contains(possible, r.Defect):
		return &RuleError{"defect", fmt.Sprintf("the tokens of %q cannot be %q; use one of: %s", r.Route, r.Defect, strings.Join(possible, ", "))}
	case r.Status != 0 || r.Body != nil || r.HangUp == BeforeAny || r.Outage != NoOutage:
		return &RuleError{"defect", `a defect needs an answer with a token: leave out "status", "body", "outage" and "hangUp": "before"`}
	}
	return nil
}

// isFraming reports whether clients need the field to find the end of an answer.
func isFraming(field string) bool {
	return slices.ContainsFunc([]string{"Content-Length", "Transfer-Encoding", "Connection"}, func(name string) bool { return strings.EqualFold(name, field) })
}

func (r Rule) checkOutage() *RuleError {
	switch {
	case r.Outage == NoOutage:
	case r.Outage != Boot && r.Outage != LiveMigration:
		return &RuleError{"outage", fmt.Sprintf("%q is not an outage; use one of: %q, %q", string(r.Outage), string(Boot), string(LiveMigration))}
	case r.Status != 0 || r.Body != nil || r.HangUp != Never || r.Malformed:
		return &RuleError{"outage", `an outage decides the answer: leave out "status", "body", "hangUp" and "malformed"`}
	}
	return nil
}

func (r Rule) checkMatch() *RuleError {
	if path := r.Match.Path; path != "" && !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "*") {
		return &RuleError{"match.path", fmt.Sprintf(`%q matches no path: start it with "/"`, path)}
	}
	return nil
}

func (r Rule) checkChoice() *RuleError {
	for field, count := range map[string]int{"after": r.After, "every": r.Every, "times": r.Times, "for": int(r.For)} {
		if count < 0 {
			return &RuleError{field, "it must not be negative"}
		}
	}
	switch {
	case r.Probability < 0 || r.Probability > 1 || math.IsNaN(r.Probability):
		return &RuleError{"probability", "a probability is from 0 to 1"}
	case r.Seed != 0 && r.Probability == 0:
		return &RuleError{"seed", `a seed needs a "probability"`}
	}
	return nil
}

// Replacement returns the rule's body and its content type, in place of the surface's. If the rule
// has no body, ok is false.
func (r Rule) Replacement() (body, contentType string, ok bool) {
	if r.Body == nil {
		return "", "", false
	}
	if json.Unmarshal(r.Body, &body) == nil {
		return body, "text/plain; charset=utf-8", true
	}
	var compact bytes.Buffer
	if json.Compact(&compact, r.Body) != nil { // cannot happen: the JSON decoder has checked the body
		return "", "", false
	}
	return compact.String(), "application/json; charset=UTF-8", true
}
