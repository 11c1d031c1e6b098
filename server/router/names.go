package router

import (
	"net/http"
	"slices"
	"strings"
	"sync"

	"gcp-metadata-emulator/server/router/hostname"
)

const (
	// MetadataName stands for every host name of the metadata server.
	MetadataName = "metadata"
	// DeadName stands for the host names of Google's that lead to no surface.
	DeadName = "dead"
)

// Names leads the host names of Google's to handlers. It makes a handler when its name is asked
// for first: most programs ask for a few names.
type Names struct {
	known    []string
	make     func(name string) http.Handler
	handlers sync.Map // func() http.Handler by name
}

// NewNames leads the known names, MetadataName among them, and DeadName to the handlers that
// a function makes.
func NewNames(known []string, handler func(name string) http.Handler) *Names {
	return &Names{known: known, make: handler}
}

// Main returns the known name of which a host is a variant, or DeadName. An API has the same
// surfaces under its mutual-TLS and its regional names.
func (n *Names) Main(host string) string {
	if hostname.IsMetadata(host) {
		return MetadataName
	}
	label, rest, _ := strings.Cut(host, ".")
	if rest == "mtls.googleapis.com" || strings.HasSuffix(rest, ".rep.googleapis.com") {
		host = label + ".googleapis.com"
	}
	if !slices.Contains(n.known, host) {
		return DeadName
	}
	return host
}

// Handler returns the handler of a host.
func (n *Names) Handler(host string) http.Handler {
	name := n.Main(host)
	handler, ok := n.handlers.Load(name)
	if !ok {
		handler, _ = n.handlers.LoadOrStore(name, sync.OnceValue(func() http.Handler { return n.make(name) }))
	}
	return handler.(func() http.Handler)()
}
