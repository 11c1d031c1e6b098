package servertest

import (
	"context"
	"iter"
	"net/http"

	"gcp-metadata-emulator/server/journal"
)

// Requests returns the journal's requests to a route, oldest first. The route may be a pattern,
// such as "iamcredentials.*" or "*". The journal holds the last thousand requests.
func (e *Emulator) Requests(route string) []journal.Exchange {
	e.t.Helper()
	return e.RequestsWhere(journal.Filter{Route: route})
}

// RequestsWhere returns the requests that match the filter.
func (e *Emulator) RequestsWhere(filter journal.Filter) []journal.Exchange {
	e.t.Helper()
	var answer struct {
		Requests []journal.Exchange `json:"requests"`
	}
	if err := e.ask(http.MethodGet, "requests?"+filter.Query().Encode(), nil, &answer); err != nil {
		e.t.Fatalf("servertest: look up requests: %v", err)
	}
	return answer.Requests
}

// ClearRequests clears the journal.
func (e *Emulator) ClearRequests() { e.server.Journal.Clear() }

// Watch returns the matching requests that arrive after this call, as they are answered, until
// the context ends. A reader that is more than a thousand requests behind misses some.
func (e *Emulator) Watch(ctx context.Context, filter journal.Filter) iter.Seq[journal.Exchange] {
	e.t.Helper()
	e.RequestsWhere(filter) //nolint:contextcheck // reports a mistake in the filter, even if the context has ended
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
