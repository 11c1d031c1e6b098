package wire

import "net/http"

// StatusError asks the dialect for its standard answer with a status.
type StatusError struct{ Status int }

func (e *StatusError) Error() string { return StatusText(e.Status) }

// KnownToClients marks the error as safe for clients to read.
func (e *StatusError) KnownToClients() {}

// StatusText returns the words of a status. A status that is not registered has the words of its
// class, as clients have to understand it (RFC 9110, section 15).
func StatusText(status int) string {
	if text := http.StatusText(status); text != "" {
		return text
	}
	const class = 100
	return http.StatusText(status / class * class)
}
