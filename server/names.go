package server

import (
	"log/slog"
	"net/http"
	"strings"
	"sync"

	"gcp-metadata-emulator/server/router/hostname"
)

const (
	metadataName = "metadata" // stands for every name of the metadata server
	deadName     = "dead"     // stands for names of Google's that lead nowhere
	controlName  = "control"  // stands for the control plane's own address

	rpcName = "iamcredentials.googleapis.com" // leads to gRPC as well
)

// surfacesByName are the surfaces that each name leads to, as the names of their
// routes begin. An API has the same surfaces under its mutual-TLS and its regional names.
func surfacesByName() map[string][]string {
	return map[string][]string{
		"accounts.google.com":                 {"oauth2.", "openid."},
		"cloudresourcemanager.googleapis.com": {"resourcemanager."},
		"compute.googleapis.com":              {"compute."},
		"iam.googleapis.com":                  {"iam."},
		controlName:                           {"control."},
		rpcName:                               {"iamcredentials."},
		metadataName:                          {"mds."},
		"oauth2.googleapis.com":               {"oauth2."},
		"openidconnect.googleapis.com":        {"oauth2."},
		"sts.googleapis.com":                  {"sts."},
		"www.googleapis.com":                  {"compute.", "keys.", "oauth2."},
		"www.gstatic.com":                     {"keys."},
	}
}

// mainName is the name in the table that another one is a variant of, or deadName.
func mainName(host string) string {
	if hostname.IsMetadata(host) {
		return metadataName
	}
	label, rest, _ := strings.Cut(host, ".")
	if rest == "mtls.googleapis.com" || strings.HasSuffix(rest, ".rep.googleapis.com") {
		host = label + ".googleapis.com"
	}
	if _, known := surfacesByName()[host]; !known {
		return deadName
	}
	return host
}

// isServedAt tells whether a name of the table leads to the route.
func (r route) isServedAt(name string) bool {
	for _, surface := range surfacesByName()[name] {
		if strings.HasPrefix(r.name, surface) {
			return true
		}
	}
	return false
}

// named is who answers for each of Google's names, in gRPC too where that is served. Most programs ask for a few of them.
func (s surfaces) named(logger *slog.Logger, rpc func() http.Handler) func(host string) http.Handler {
	var handlers sync.Map // func() http.Handler by name
	return func(host string) http.Handler {
		name := mainName(host)
		handler, ok := handlers.Load(name)
		if !ok {
			handler, _ = handlers.LoadOrStore(name, sync.OnceValue(func() http.Handler {
				if name == rpcName {
					return withRPC(s.handler(logger, name), rpc)
				}
				return s.handler(logger, name)
			}))
		}
		return handler.(func() http.Handler)()
	}
}
