package wire

import "net/http"

// BaseURL is the URL, without a final slash, under which a client has reached the server.
func BaseURL(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}
