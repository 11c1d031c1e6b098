package door

import (
	"net/http"
	"strings"

	"gcp-metadata-emulator/server/wire"
)

// pathOf returns the path of a request as it was sent.
func pathOf(r *http.Request) string {
	path, _, _ := strings.Cut(wire.Target(r), "?")
	return path
}

// readdress sends a request to another server, and keeps the path and the query as they were sent.
func readdress(out, in *http.Request, scheme, host string) {
	out.URL.Scheme, out.URL.Host, out.Host = scheme, host, in.Host
	out.URL.RawQuery = in.URL.RawQuery // net/http/httputil leaves out what it cannot parse
	if path := pathOf(in); out.URL.EscapedPath() != path && !strings.HasPrefix(path, "//") {
		out.URL.Opaque = path // net/http sends it as it is
	}
}
