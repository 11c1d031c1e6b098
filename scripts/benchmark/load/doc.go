// Package load sends HTTP/1.1 requests to a server over raw connections and
// measures how long each answer took. It owns the request bytes, the
// connections, the reading of answers and the histogram. It is deliberately
// less than an HTTP client: on a machine shared with the server, what the
// loader costs is taken from what the server can show.
package load

import "time"

// Now is the time by which everything here is measured.
func Now() time.Time {
	return time.Now() //nolint:forbidigo // elapsed time is what this program is about
}
