package observer

import (
	"net/http"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/wire"
)

// Unobserved returns the answer of a route that is dated by the emulator's clock, and not observed: it
// is logged, but not recorded in the journal.
func (o *Observer) Unobserved(route string, answer wire.Answer) wire.Answer {
	return func(r *http.Request) wire.Response {
		_, begun := o.clock.Both()
		response := answer(r).Now(r)
		o.date(&response)
		e := exchangeOf(r, &sighting{route: route}, &response)
		e.Duration = fixtures.Duration(time.Since(begun))
		o.log(r.Context(), r.Host, &e)
		return response
	}
}

// Dated returns a handler that dates the answers of next by the emulator's clock.
func (o *Observer) Dated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if now, differs := dateOf(o.clock); differs {
			w.Header().Set("Date", now)
		}
		next.ServeHTTP(w, r)
	})
}

// date dates an answer as it is sent, unless it has a date of its own: the request may have
// waited for long, or have moved the clock.
func (o *Observer) date(response *wire.Response) {
	if now, differs := dateOf(o.clock); differs {
		response.Header = append([]wire.Field{{Name: "Date", Value: now}}, response.Header...)
	}
}

// dateOf returns the date of answers by a clock. differs is false if it is the machine's date,
// which net/http sends by itself.
func dateOf(emulator *clock.Clock) (date string, differs bool) {
	if emulator.FollowsMachine() {
		return "", false
	}
	return emulator.Now().UTC().Format(http.TimeFormat), true
}
