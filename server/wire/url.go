package wire

import (
	"net/http"
	"strings"
)

// BaseURL returns the server's URL as the client used it, without a final slash.
func BaseURL(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// Target returns the target of a request (RFC 9112, section 3.2): the path and the query as the
// client sent them. The target of a request to a proxy is a whole URL; Target leaves the scheme
// and the host out.
func Target(r *http.Request) string {
	sent := r.RequestURI
	if strings.HasPrefix(sent, "/") {
		return sent
	}
	if _, rest, isURL := strings.Cut(sent, "://"); isURL {
		if slash := strings.IndexAny(rest, "/?"); slash >= 0 && rest[slash] == '/' {
			return rest[slash:]
		}
	}
	return r.URL.RequestURI() // "*", a URL without a path, or a request that was not read from a connection
}
