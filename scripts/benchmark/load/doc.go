// Package load sends HTTP/1.1 requests to a server over raw connections and measures the time
// until each answer. It owns the bytes of requests, the connections, the reading of answers and
// the histogram. It does less than an HTTP client on purpose: on a shared machine, the loader
// takes its processor time from the server.
package load

import "time"

// Now returns the time that all measurements use.
func Now() time.Time {
	return time.Now() //nolint:forbidigo // this program measures real time
}
