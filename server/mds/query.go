package mds

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gcp-metadata-emulator/server/clock"
)

// query is what the query parameters of a request ask for. What Google's server does not
// know it ignores, and so does this one.
type query struct {
	form      form
	recursive bool
	wait      bool
	licenses  bool // in an identity

	lastETag string
	timeout  time.Duration // 0: none

	audience, format string // of an identity

	scopes        []string // of an access token
	enforceScopes string
}

// parse reads a query, from its end, so that of a parameter that is given twice the first
// counts. It is on the way of every request, and therefore does without the map that net/url
// would make.
func (q *query) parse(rawQuery string) {
	for end := len(rawQuery); end > 0; {
		begin := strings.LastIndexByte(rawQuery[:end], '&') + 1
		name, value, _ := strings.Cut(rawQuery[begin:end], "=")
		name, _ = unescaped(name) // one that cannot be read is none that is known
		if value, ok := unescaped(value); ok {
			q.set(name, value)
		}
		end = begin - 1
	}
}

// unescaped is a name or value as it was meant. Most are so already.
func unescaped(text string) (string, bool) {
	if strings.IndexByte(text, '%') < 0 && strings.IndexByte(text, '+') < 0 {
		return text, true
	}
	plain, err := url.QueryUnescape(text)
	return plain, err == nil
}

func (q *query) set(name, value string) {
	switch name {
	case "scopes":
		q.scopes = strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })
	case "enforce_scopes":
		q.enforceScopes = value
	case "recursive":
		q.recursive = isAsked(value)
	case "alt":
		q.form = forms(value)
	case "wait_for_change":
		q.wait = isAsked(value)
	case "last_etag":
		q.lastETag = value
	case "timeout_sec":
		seconds, err := strconv.ParseUint(value, 10, 31)
		if err != nil {
			seconds = 0
		}
		q.timeout = time.Duration(seconds) * time.Second
	case "audience":
		q.audience = value
	case "format":
		q.format = value
	case "licenses":
		q.licenses = isAsked(value)
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

// isAsked reads the boolean of a parameter. One known client puts a slash after it.
func isAsked(text string) bool { return isTrue(strings.TrimSuffix(text, "/")) }

// isTrue reads a boolean as Google's server does: some words mean true in any case, and
// everything else is false.
func isTrue(text string) bool {
	switch strings.ToLower(text) {
	case "true", "on", "yes", "1":
		return true
	default:
		return false
	}
}

// waitsFor tells whether a client that is shown an entry with this ETag wants another one.
// One that has seen nothing has seen the first. The ETag is empty where nothing can change.
func (q *query) waitsFor(etag string) bool {
	if q.lastETag == "" {
		q.lastETag = etag
	}
	return q.wait && etag != "" && etag == q.lastETag
}

// waiting is a context that ends when the client has waited for as long as it wants to.
func (q *query) waiting(ctx context.Context, emulator *clock.Clock) (context.Context, context.CancelFunc) {
	if q.timeout == 0 {
		return ctx, func() {}
	}
	return emulator.WithTimeout(ctx, q.timeout)
}
