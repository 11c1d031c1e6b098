package mds

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gcp-metadata-emulator/server/clock"
)

// query holds the known query parameters of a request. Like Google's server, it ignores others.
type query struct {
	form      form
	recursive bool
	wait      bool
	licenses  bool // for an identity token

	lastETag string
	timeout  time.Duration // 0: no timeout

	audience, format string // for an identity token

	scopes        []string // for an access token
	enforceScopes string
}

// parse reads a query from its end, so that the first value of a repeated parameter counts. It
// runs for every request, so it does without the map of net/url.
func (q *query) parse(rawQuery string) {
	for end := len(rawQuery); end > 0; {
		begin := strings.LastIndexByte(rawQuery[:end], '&') + 1
		name, value, _ := strings.Cut(rawQuery[begin:end], "=")
		name, _ = unescaped(name) // a name with an invalid escape matches no parameter
		if value, ok := unescaped(value); ok {
			q.set(name, value)
		}
		end = begin - 1
	}
}

// unescaped decodes a name or a value. Most texts have nothing to decode.
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

// isAsked reads a boolean parameter. It removes a final slash, because a known client appends a slash.
func isAsked(text string) bool { return isTrue(strings.TrimSuffix(text, "/")) }

// isTrue reads a boolean as Google's server does: it accepts some words for true, in any case,
// and takes every other text for false.
func isTrue(text string) bool {
	switch strings.ToLower(text) {
	case "true", "on", "yes", "1":
		return true
	default:
		return false
	}
}

// waitsFor reports whether a client still waits when it sees an entry with this ETag. A client
// without a last ETag counts as having seen the first entry. etag is empty if the entry cannot
// change.
func (q *query) waitsFor(etag string) bool {
	if q.lastETag == "" {
		q.lastETag = etag
	}
	return q.wait && etag != "" && etag == q.lastETag
}

// end returns a channel, closed after the client's timeout, and a function that stops the timeout. The
// channel is nil if there is no timeout.
func (q *query) end(emulator *clock.Clock) (over <-chan struct{}, stop func()) {
	if q.timeout == 0 {
		return nil, func() {}
	}
	ctx, stop := emulator.WithTimeout(context.Background(), q.timeout)
	return ctx.Done(), stop
}
