package mds

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// query is what the query parameters of a request ask for. What Google's server does not
// know it ignores, and so does this one; of a parameter that is given twice the first counts.
type query struct {
	recursive bool
	form      form
	wait      bool
	lastETag  string
	timeout   time.Duration // 0: none

	audience, format string // of an identity
	licenses         bool

	scopes        []string // of an access token
	enforceScopes string
}

// parseQuery reads a query. It is on the way of every request, and therefore does without
// the map that net/url would make.
func parseQuery(rawQuery string) query {
	var q query
	var seen uint
	for pair := range strings.SplitSeq(rawQuery, "&") {
		name, value, _ := strings.Cut(pair, "=")
		known := slices.Index(parameters(), name)
		if known < 0 || seen&(1<<known) != 0 {
			continue
		}
		if value, err := url.QueryUnescape(value); err == nil {
			seen |= 1 << known
			q.set(name, value)
		}
	}
	return q
}

func parameters() []string {
	return []string{
		"recursive", "alt", "wait_for_change", "last_etag", "timeout_sec",
		"audience", "format", "licenses", "scopes", "enforce_scopes",
	}
}

func (q *query) set(name, value string) {
	switch name {
	case "scopes":
		q.scopes = strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })
	case "enforce_scopes":
		q.enforceScopes = value
	case "recursive":
		q.recursive = isTrue(value)
	case "alt":
		q.form = forms(value)
	case "wait_for_change":
		q.wait = isTrue(value)
	case "last_etag":
		q.lastETag = value
	case "timeout_sec":
		if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
			q.timeout = time.Duration(seconds) * time.Second
		}
	case "audience":
		q.audience = value
	case "format":
		q.format = value
	case "licenses":
		q.licenses = isTrue(value)
	}
}

func forms(alt string) form {
	switch alt {
	case "json":
		return jsonForm
	case "text":
		return textForm
	default:
		return defaultForm
	}
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
func (q *query) waiting(ctx context.Context) (context.Context, context.CancelFunc) {
	if !q.wait || q.timeout == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, q.timeout)
}
