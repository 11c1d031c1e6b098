package observer

import (
	"context"
	"net/http"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/wire"
)

// record numbers an exchange in the journal, counts it, and logs why its request was refused.
func (o *Observer) record(ctx context.Context, e journal.Exchange, took time.Duration) {
	e.Duration = fixtures.Duration(took)
	o.journal.Append(e)
	o.counts.Observe(e.Route, e.Status, took)
	if e.Code == "" {
		return
	}
	logger := o.logger.With(attributes(e.Redacted())...)
	if 0 < e.Status && e.Status < http.StatusBadRequest { // policies are audited only
		logger.InfoContext(ctx, "request would be refused")
		return
	}
	logger.InfoContext(ctx, "request refused")
}

// attributes describes a refused request in the log.
func attributes(e *journal.Exchange) []any {
	return []any{
		"status", e.Status, "code", e.Code, "reason", e.Reason, "hint", e.Hint,
		"method", e.Method, "host", e.Host, "path", e.Path, "route", e.Route, "caller", e.Caller, "program", e.UserAgent,
	}
}

// Refused returns a function that records a request that a part of the emulator besides its operations
// has refused, under the name of a route.
func (o *Observer) Refused(route string) func(*http.Request, wire.Response) {
	o.counts.Also(route)
	return func(r *http.Request, answer wire.Response) {
		now, begun := o.clock.Both()
		o.note(r, &sighting{at: now, begun: begun, route: route}, &answer)
	}
}
