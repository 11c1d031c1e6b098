// Package inject spoils the answers of requests that meet a fault: it puts a status, a body, a
// delay, a hang-up, a broken body, a missing or wrong header field or a defective token in place.
//
// It owns the effects of faults on answers over HTTP and in gRPC. Package fault owns the rules, and
// decides about the fault of each request. Package observer asks both for each request.
package inject

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

	"gcp-metadata-emulator/server/fault"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
)

// Outcome is the result of a request that meets a fault.
type Outcome struct {
	Response wire.Response
	HungUp   bool // the connection ends, and the response is not sent

	// Struck reports whether the fault made a difference. If the answer has no token, it cannot get
	// a defect. If the answer never had a field, the fault cannot remove it.
	Struck bool
}

// Answer answers a request as a fault demands, in the dialect of its surface. The surface gives the
// answer that the fault changes.
func Answer(r *http.Request, met fault.Fault, dialect wire.Dialect, surface wire.Answer) Outcome {
	if r.Method == http.MethodHead && met.HangUp == fault.DuringBody {
		met.HangUp = fault.BeforeAny // an answer to HEAD has no body to hang up in
	}
	pause(r.Context(), time.Duration(met.Delay))
	if met.HangUp == fault.BeforeAny {
		return Outcome{HungUp: true, Struck: true}
	}
	response := replaced(r, met, dialect, surface)
	if met.Location != "" {
		response.Header = append(slices.Clip(response.Header), wire.Field{Name: "Location", Value: met.Location})
	}
	struck := met.Status != 0 || met.Body != nil || met.Delay > 0 || met.HangUp != fault.Never || met.Malformed
	if met.Defect != "" {
		struck = response.Defective
	}
	if met.Malformed {
		response.Body = malformed(response.Body)
	}
	if met.WithoutHeader != "" && sends(dialect, &response, met.WithoutHeader) {
		struck = struck || met.Defect == ""
		response.Header = append(slices.Clip(response.Header), wire.Field{Name: met.WithoutHeader})
	}
	if changed := with(dialect, &response, met.WithHeader); changed {
		struck = struck || met.Defect == ""
	}
	if met.HangUp == fault.DuringBody {
		response = hangingUp(response)
	}
	return Outcome{Response: response, Struck: struck}
}

// replaced returns the fault's own answer: its body, or its status in the words of the surface. If
// the fault has neither, the surface answers, with the defect of the fault.
func replaced(r *http.Request, met fault.Fault, dialect wire.Dialect, surface wire.Answer) wire.Response {
	body, contentType, hasBody := met.Replacement()
	switch {
	case hasBody:
		response := dialect.Error(r, &wire.StatusError{Status: cmp.Or(met.Status, http.StatusOK)}) // for its header
		response.ContentType, response.Body = contentType, body
		return response
	case met.Status != http.StatusOK && met.Status != 0:
		return dialect.Error(r, &wire.StatusError{Status: met.Status})
	case met.Defect != "":
		r = r.WithContext(token.WithDefect(r.Context(), token.Defect(met.Defect)))
	}
	return surface(r)
}

// sends reports whether an answer has a header field.
func sends(dialect wire.Dialect, response *wire.Response, name string) bool {
	is := func(field wire.Field) bool { return field.Value != "" && strings.EqualFold(field.Name, name) }
	switch {
	case slices.ContainsFunc(dialect.Header, is), slices.ContainsFunc(response.Header, is), strings.EqualFold(name, "Date"):
		return true
	case strings.EqualFold(name, "Content-Type"):
		return response.ContentType != "" || response.Body != "" // net/http guesses it from the body
	default:
		return slices.ContainsFunc(slices.Collect(maps.Keys(response.Shared)), func(field string) bool { return strings.EqualFold(field, name) })
	}
}

// with sets header fields of an answer, and reports whether that changes the answer.
func with(dialect wire.Dialect, response *wire.Response, fields map[string]string) (changed bool) {
	usual := append(slices.Concat(dialect.Header, response.Header), wire.Field{Name: "Content-Type", Value: response.ContentType})
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		field := wire.Field{Name: name, Value: fields[name]}
		changed = changed || !slices.Contains(usual, field) && !slices.Contains(response.Shared[name], field.Value)
		// The field may be spelled otherwise, so that setting it does not replace it.
		response.Header = append(slices.Clip(response.Header), wire.Field{Name: name}, field)
	}
	return changed
}

// malformed returns the first half of a body, as if it were the whole body. It is never JSON.
func malformed(body string) string {
	half := brokenOff(body)
	if half == "" || json.Valid([]byte(half)) {
		half += "{"
	}
	return half
}

// brokenOff returns the first half of a body.
func brokenOff(body string) string { return body[:(len(body)+1)/2] }

// hangingUp returns an answer that announces the whole body and sends half of it.
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

// pause waits, in the machine's time, unless the client leaves or the server stops.
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
