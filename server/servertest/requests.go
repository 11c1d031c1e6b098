package servertest

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"

	"gcp-metadata-emulator/server/journal"
)

// Requests are what was asked of a route and answered, oldest first. A route may be a pattern:
// "iamcredentials.*", or "*" for all. The journal remembers the last thousand requests.
func (e *Emulator) Requests(route string) []journal.Exchange {
	e.t.Helper()
	return e.RequestsWhere(journal.Filter{Route: route})
}

// RequestsWhere are the requests that a filter lets through.
func (e *Emulator) RequestsWhere(filter journal.Filter) []journal.Exchange {
	e.t.Helper()
	query := url.Values{}
	for name, value := range map[string]string{
		"route": filter.Route, "instance": filter.Instance, "account": filter.Account, "audience": filter.Audience, "status": filter.Status,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if !filter.From.IsZero() {
		query.Set("since", filter.From.Format(time.RFC3339Nano))
	}
	var answer struct {
		Requests []journal.Exchange `json:"requests"`
	}
	if err := e.ask(http.MethodGet, "requests?"+query.Encode(), nil, &answer); err != nil {
		e.t.Fatalf("servertest: look up requests: %v", err)
	}
	return answer.Requests
}

// ClearRequests forgets what was asked.
func (e *Emulator) ClearRequests() { e.server.Journal.Clear() }

// Watch are the requests that are asked and answered from this call on and that a filter lets through, each as soon as it
// is, until the context ends. What is more than a thousand requests behind misses some.
func (e *Emulator) Watch(ctx context.Context, filter journal.Filter) iter.Seq[journal.Exchange] {
	e.t.Helper()
	e.RequestsWhere(filter) //nolint:contextcheck // says what is wrong with the filter, whatever becomes of the context
	last := e.server.Journal.Since(0).Last
	return func(yield func(journal.Exchange) bool) {
		for last := last; ctx.Err() == nil; {
			news := e.server.Journal.Since(last)
			last = news.Last
			for _, exchange := range news.Exchanges {
				if filter.Matches(exchange) && !yield(exchange) {
					return
				}
			}
			select {
			case <-news.Changed:
			case <-ctx.Done():
			}
		}
	}
}
