package googleapi

import (
	"net"
	"strings"
)

// IsHost tells whether the Host of a request names one of Google's own API hosts.
func IsHost(hostport string) bool {
	host := hostport
	if name, _, err := net.SplitHostPort(hostport); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return strings.HasSuffix(host, ".googleapis.com") || host == "accounts.google.com" || host == "www.gstatic.com"
}
