package server

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/fault"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/metrics"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
)

// observer stands around the operations of the Google surfaces: it lets faults strike, and
// writes down what was asked and answered.
type observer struct {
	clock   *clock.Clock
	faults  *fault.Set
	journal *journal.Journal
	counts  *metrics.Requests
}

// operation is what the observer has to know of one.
type operation struct {
	name    func(*http.Request) string
	subject func(*http.Request) wire.Subject // nil where requests are about nothing
	dialect wire.Dialect
	answer  wire.Answer
}

// observe is the operation's answer, observed. It is written down before it is sent, so that
// whoever has it finds it in the journal.
//
// Requests that wait keep this function's variables on their stacks; hence the small ones.
func (o *observer) observe(op operation) wire.Answer {
	return func(r *http.Request) wire.Response {
		seen := sighting{route: op.name(r), about: op.about(r)}
		seen.at, seen.begun = o.clock.Both()
		var response wire.Response
		if o.faults.None() {
			response = op.answer(r)
		} else {
			response = o.underFaults(op, r, &seen)
		}
		o.note(r, &seen, &response)
		if seen.hungUp {
			panic(http.ErrAbortHandler) // which net/http takes for this
		}
		o.date(&response)
		return response
	}
}

// dated is an answer with its date.
func (o *observer) dated(answer wire.Answer) wire.Answer {
	return func(r *http.Request) wire.Response {
		response := answer(r)
		o.date(&response)
		return response
	}
}

// date dates an answer as it is sent, unless it says otherwise: a request may have waited for
// long, or have moved the clock.
func (o *observer) date(response *wire.Response) {
	if now, differs := dateOf(o.clock); differs {
		response.Header = append([]wire.Field{{Name: "Date", Value: now}}, response.Header...)
	}
}

// sighting is what is known of a request before it is answered, and what has struck it.
type sighting struct {
	at, begun time.Time // by the emulator's clock and by the machine's
	route     string
	about     inquiry
	fault     string // the ID of the one that it met
	hungUp    bool   // there is to be no answer
}

// underFaults answers a request that may meet a fault.
func (o *observer) underFaults(op operation, r *http.Request, seen *sighting) wire.Response {
	asked := fault.Request{Route: seen.route, Path: r.URL.Path, Subject: func() (string, string) {
		subject := seen.about.beforehand(r)
		return subject.Account, subject.Audience
	}}
	if r.Method == http.MethodHead {
		asked.Answer = fault.WithoutBody
	}
	met, isMet := o.faults.Decide(asked)
	if !isMet {
		return op.answer(r)
	}
	if asked.Answer == fault.WithoutBody && met.HangUp == fault.DuringBody {
		met.HangUp = fault.BeforeAny // as near as one comes to it
	}
	if met.Defect != "" {
		r = r.WithContext(token.WithDefect(r.Context(), token.Defect(met.Defect)))
	}
	response, struck := op.spoilt(r, met)
	if !struck {
		o.faults.Missed(met.ID)
		return response
	}
	o.counts.ObserveFault(seen.route)
	seen.fault, seen.hungUp = met.ID, met.HangUp == fault.BeforeAny
	return response
}

// note writes an exchange down.
func (o *observer) note(r *http.Request, seen *sighting, response *wire.Response) {
	var subject wire.Subject
	if response.About != nil {
		subject = *response.About
	} else {
		subject = seen.about.afterwards(r)
	}
	e := journal.Exchange{
		Time:      seen.at,
		Duration:  clock.Duration(time.Since(seen.begun)),
		Method:    r.Method,
		Path:      wire.Target(r),
		Route:     seen.route,
		Instance:  subject.Instance,
		Account:   subject.Account,
		Audience:  subject.Audience,
		UserAgent: userAgent(r),
		Fault:     seen.fault,
	}
	if !seen.hungUp && !response.Abandoned {
		e.Status = statusOf(response)
		if r.Method != http.MethodHead {
			e.Bytes = len(response.Body)
		}
	}
	o.journal.Append(e)
	o.counts.Observe(e.Route, e.Status, time.Duration(e.Duration))
}

func statusOf(response *wire.Response) int {
	if response.Status == 0 {
		return http.StatusOK
	}
	return response.Status
}

func userAgent(r *http.Request) string {
	if values := r.Header["User-Agent"]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// inquiry finds out what a request is about, once: before it is answered where a fault needs
// to know, and otherwise afterwards, from as much of its body as has been read.
type inquiry struct {
	find  func(*http.Request) wire.Subject
	body  *wire.Body // nil where there is none
	known bool
	found wire.Subject
}

func (op operation) about(r *http.Request) inquiry {
	about := inquiry{find: op.subject}
	if op.subject != nil && r.Body != nil && r.Body != http.NoBody {
		about.body = wire.Rereadable(r)
	}
	return about
}

func (a *inquiry) beforehand(r *http.Request) wire.Subject {
	if !a.known && a.find != nil {
		a.found = a.find(r)
		if a.body != nil {
			a.body.Rewind()
			a.found.Account, a.found.Audience = strings.Clone(a.found.Account), strings.Clone(a.found.Audience) // not the whole body with them
		}
	}
	a.known = true
	return a.found
}

func (a *inquiry) afterwards(r *http.Request) wire.Subject {
	if a.body != nil {
		a.body.Remembered()
	}
	return a.beforehand(r)
}

// spoilt is what a request gets that meets a fault, unless the connection is hung up. Struck
// tells whether it is other than without the fault: a token cannot have a defect where none is
// given out, nor can an answer lack a field that it does not have.
func (op operation) spoilt(r *http.Request, met fault.Fault) (response wire.Response, struck bool) {
	pause(r.Context(), time.Duration(met.Delay))
	if met.HangUp == fault.BeforeAny {
		return wire.Response{}, true
	}
	response = op.faulty(r, met)
	struck = met.Status != 0 || met.Body != nil || met.Delay > 0 || met.HangUp != fault.Never || met.Malformed
	if met.Defect != "" {
		struck = token.IsDefective(r.Context())
	}
	if met.Malformed {
		response.Body = malformed(response.Body)
	}
	if met.WithoutHeader != "" && op.sends(&response, met.WithoutHeader) {
		struck = struck || met.Defect == ""
		response.Header = append(slices.Clip(response.Header), wire.Field{Name: met.WithoutHeader})
	}
	if met.HangUp == fault.DuringBody {
		response = hangingUp(response)
	}
	return response, struck
}

// sends tells whether an answer has a header field.
func (op operation) sends(response *wire.Response, name string) bool {
	is := func(field wire.Field) bool { return field.Value != "" && strings.EqualFold(field.Name, name) }
	switch {
	case slices.ContainsFunc(op.dialect.Header, is), slices.ContainsFunc(response.Header, is), strings.EqualFold(name, "Date"):
		return true
	case strings.EqualFold(name, "Content-Type"):
		return response.ContentType != "" || response.Body != "" // which net/http looks at
	default:
		return slices.ContainsFunc(slices.Collect(maps.Keys(response.Shared)), func(field string) bool { return strings.EqualFold(field, name) })
	}
}

// faulty is what a fault says, in the words of the surface unless it has its own; where it
// says nothing, the surface's own answer.
func (op operation) faulty(r *http.Request, met fault.Fault) wire.Response {
	body, contentType, replaced := met.Replacement()
	switch {
	case replaced:
		response := op.dialect.Error(r, &wire.StatusError{Status: cmp.Or(met.Status, http.StatusOK)}) // for its header
		response.ContentType, response.Body = contentType, body
		return response
	case met.Status == http.StatusOK, met.Status == 0:
		return op.answer(r)
	default:
		return op.dialect.Error(r, &wire.StatusError{Status: met.Status})
	}
}

// malformed is the first half of a body, as if it were all. It is no JSON in any case.
func malformed(body string) string {
	half := brokenOff(body)
	if half == "" || json.Valid([]byte(half)) {
		half += "{"
	}
	return half
}

// brokenOff is the first half of a body.
func brokenOff(body string) string { return body[:(len(body)+1)/2] }

// hangingUp is an answer whose body is announced in full, and of which half is sent.
func hangingUp(response wire.Response) wire.Response {
	half := brokenOff(response.Body)
	response.Header = append(slices.Clip(response.Header),
		wire.Field{Name: "Content-Length", Value: strconv.Itoa(max(len(response.Body), len(half)+1))})
	response.Body = half
	response.Stream = func(w io.Writer) {
		_, _ = io.WriteString(w, half)
		panic(http.ErrAbortHandler)
	}
	return response
}

// pause lets time pass, of the machine's, unless the client goes or the server stops.
func pause(ctx context.Context, delay time.Duration) {
	if delay == 0 {
		return
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
