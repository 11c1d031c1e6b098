package observer

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/wire"
)

// record numbers an exchange in the journal, counts it, and logs it. The journal has the host of refused
// requests.
func (o *Observer) record(ctx context.Context, host string, e *journal.Exchange, took time.Duration) {
	e.Duration = fixtures.Duration(took)
	if e.Fault != "" && e.Reason == "" && (e.Status == 0 || e.Status >= http.StatusBadRequest) {
		e.Explain(&journal.Refusal{Code: reason.Fault, Reason: fmt.Sprintf("the fault %q struck", e.Fault)})
	}
	if e.Reason != "" {
		e.Host = host
	}
	o.journal.Append(*e)
	o.counts.Observe(e.Route, e.Status, took)
	o.log(ctx, host, e)
}

// log logs an exchange. If its request was refused, log logs the reason at level info; otherwise it logs
// the exchange at level debug.
func (o *Observer) log(ctx context.Context, host string, e *journal.Exchange) {
	if e.Code == "" {
		o.trace(ctx, host, e)
		return
	}
	e.Host = host
	o.logRefusal(ctx, e)
}

// logRefusal logs why a request was refused.
func (o *Observer) logRefusal(ctx context.Context, e *journal.Exchange) {
	logger := o.logger.With(attributes(e.Redacted())...)
	if 0 < e.Status && e.Status < http.StatusBadRequest { // policies are audited only
		o.counts.ObserveRefusal(string(e.Code), "audited")
		logger.InfoContext(ctx, "request would be refused")
		return
	}
	o.counts.ObserveRefusal(string(e.Code), "refused")
	if e.Code == reason.Upstream {
		logger.InfoContext(ctx, "upstream failed")
		return
	}
	logger.Log(ctx, o.level(e), "request refused")
}

// trace logs an exchange at level debug.
func (o *Observer) trace(ctx context.Context, host string, e *journal.Exchange) {
	if !o.logger.Enabled(ctx, slog.LevelDebug) {
		return
	}
	e = e.Redacted()
	o.logger.DebugContext(ctx, "request",
		"method", e.Method, "path", e.Path, "host", journal.Redacted(host), "route", e.Route, "status", e.Status, "duration", time.Duration(e.Duration),
		"caller", e.Caller, "account", e.Account, "fault", e.Fault, "program", e.UserAgent)
}

// attributes describes a refused request in the log.
func attributes(e *journal.Exchange) []any {
	return []any{
		"status", e.Status, "code", e.Code, "reason", e.Reason, "hint", e.Hint,
		"method", e.Method, "host", e.Host, "path", e.Path, "route", e.Route, "caller", e.Caller, "program", e.UserAgent,
	}
}

// Refused returns a function that records a refused request under the name of a route. It is for
// refusals by parts of the emulator besides its operations.
func (o *Observer) Refused(route string) func(*http.Request, wire.Response) {
	o.counts.Also(route)
	return func(r *http.Request, answer wire.Response) {
		now, begun := o.clock.Both()
		o.note(r, &sighting{at: now, begun: begun, route: route}, &answer)
	}
}
