package observer

import (
	"context"
	"net/http"
	"time"

	"gcp-metadata-emulator/server/fault"
	"gcp-metadata-emulator/server/fault/inject"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/wire"
)

// Stream puts faults in front of a handler that writes its own answers. The handler calls Note for
// each request that reaches it. If a fault has a status, a body, a delay or a hang-up before the
// answer, it applies. If it changes the bytes of an answer, it does not.
func (o *Observer) Stream(route string, dialect wire.Dialect, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if o.faults.None() {
			next.ServeHTTP(w, r)
			return
		}
		o.streamUnderFaults(w, r, streamed{route, dialect, next})
	})
}

// streamed is an operation that writes its own answers.
type streamed struct {
	route   string
	dialect wire.Dialect
	next    http.Handler
}

func (o *Observer) streamUnderFaults(w http.ResponseWriter, r *http.Request, to streamed) {
	seen := sighting{route: to.route}
	seen.at, seen.begun = o.clock.Both()
	met, isMet := o.faults.Decide(fault.Request{Route: to.route, Path: r.URL.Path, Subject: func() (string, string) { return "", "" }})
	if !isMet {
		to.next.ServeHTTP(w, r)
		return
	}
	passes := false
	outcome := inject.Answer(r, met, to.dialect, func(*http.Request) wire.Response {
		passes = true
		return wire.Response{}
	})
	if !outcome.Struck || passes && met.Delay == 0 {
		o.faults.Missed(met.ID)
	} else {
		o.counts.ObserveFault(to.route)
		seen.fault = met.ID
	}
	if passes {
		to.next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), faultKey{}, seen.fault)))
		return
	}
	seen.hungUp = outcome.HungUp
	o.note(r, &seen, &outcome.Response)
	if seen.hungUp {
		panic(http.ErrAbortHandler) // by which net/http hangs up
	}
	o.date(&outcome.Response)
	to.dialect.Serve(func(*http.Request) wire.Response { return outcome.Response }).ServeHTTP(w, r)
}

type faultKey struct{}

// Note records an exchange of a handler of Stream. begun is the time of the request by the machine's
// clock.
func (o *Observer) Note(r *http.Request, e journal.Exchange, begun time.Time) {
	e.Method, e.Path, e.Host, e.UserAgent = r.Method, wire.Target(r), r.Host, userAgent(r)
	e.Carried = carried(r.Header)
	e.Fault, _ = r.Context().Value(faultKey{}).(string)
	o.record(r.Context(), r.Host, &e, time.Since(begun))
}
