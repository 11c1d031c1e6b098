package mds

import (
	"net/url"
	"strconv"
	"testing"
	"time"
)

// This target is in package mds because queries are not exported.

// FuzzQuery compares the reader of queries with net/url's, for the queries that both can read, and checks
// that a client waits only if it has the newest ETag.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{
		"", "wait_for_change=true&last_etag=0", "last_etag=NONE&wait_for_change=1/", "last_etag=&last_etag=a", "last_etag=%61+b&&=", "%6cast_etag=a",
		"timeout_sec=9999999999", "timeout_sec=-1&timeout_sec=1", "audience=https%3A%2F%2Fa&format=full", "recursive=true;alt=text", "a=%zz",
	} {
		f.Add(seed, "a")
	}
	f.Fuzz(func(t *testing.T, raw, etag string) {
		q := parsed(raw)
		values, err := url.ParseQuery(raw)
		if err != nil {
			t.Skip("net/url cannot read it")
		}
		seconds, err := strconv.ParseUint(values.Get("timeout_sec"), 10, 31)
		if err != nil {
			seconds = 0
		}
		if q.timeout != time.Duration(seconds)*time.Second {
			t.Errorf("timeout_sec of %q is %v", raw, q.timeout)
		}
		last := values.Get("last_etag")
		for name, got := range map[string]string{"last_etag": q.lastETag, "audience": q.audience, "format": q.format} {
			if want := values.Get(name); got != want {
				t.Errorf("%s of %q is %q, want %q", name, raw, got, want)
			}
		}
		if got, want := q.waitsFor(etag), q.wait && etag != "" && (last == "" || last == etag); got != want {
			t.Errorf("%q waits: %v, although the ETag is %q", raw, got, etag)
		}
	})
}
