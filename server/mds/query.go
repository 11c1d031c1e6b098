package mds

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// query is what the query parameters of a request ask for. What Google's server does not
// know it ignores, and so does this one.
type query struct {
	recursive bool
	form      form
	wait      bool
	lastETag  string
	timeout   time.Duration // 0: none
	values    url.Values
}

func parseQuery(r *http.Request) query {
	if r.URL.RawQuery == "" {
		return query{}
	}
	values, _ := url.ParseQuery(r.URL.RawQuery) // what can be read of it
	q := query{
		recursive: isTrue(values.Get("recursive")),
		wait:      isTrue(values.Get("wait_for_change")),
		lastETag:  values.Get("last_etag"),
		values:    values,
	}
	switch values.Get("alt") {
	case "json":
		q.form = jsonForm
	case "text":
		q.form = textForm
	}
	if seconds, err := strconv.ParseUint(values.Get("timeout_sec"), 10, 31); err == nil {
		q.timeout = time.Duration(seconds) * time.Second
	}
	return q
}

// isTrue reads a boolean as Google's server does: some words mean true in any case, and
// everything else is false. One known client puts a slash after it.
func isTrue(text string) bool {
	switch strings.ToLower(strings.TrimSuffix(text, "/")) {
	case "true", "on", "yes", "1":
		return true
	default:
		return false
	}
}

// waiting is a context that ends when the client has waited for as long as it wants to.
func (q query) waiting(ctx context.Context) (context.Context, context.CancelFunc) {
	if !q.wait || q.timeout == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, q.timeout)
}
