package wire

import (
	"net"
	"net/http"
	"strings"
)

// BaseURL is the URL, without a final slash, under which a client has reached the server.
func BaseURL(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// HostName is the name in a Host header: in lower case, without a port, brackets or a final
// dot.
func HostName(hostport string) string {
	host := hostport
	if name, _, err := net.SplitHostPort(hostport); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

// IsAllowed tells whether a host name is on a list of names, in which "*" is any.
func IsAllowed(host string, allowed []string) bool {
	for _, name := range allowed {
		if name == "*" || HostName(name) == host {
			return true
		}
	}
	return false
}
