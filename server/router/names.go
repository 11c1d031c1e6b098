package router

import (
	"net/http"
	"slices"
	"sync"

	"gcp-metadata-emulator/server/router/hostname"
)

const (
	// MetadataName stands for every host name of the metadata server.
	MetadataName = "metadata"
	// DeadName stands for Google's host names without a surface in the emulator.
	DeadName = "dead"
)

// Names maps Google's host names to handlers. It makes a handler on the first request for its name,
// because most programs use only a few names.
type Names struct {
	known    []string
	make     func(name string) http.Handler
	handlers sync.Map // func() http.Handler by name
}

// NewNames returns Names for the known names, which include MetadataName. The function makes the
// handler of a known name or of DeadName.
func NewNames(known []string, handler func(name string) http.Handler) *Names {
	return &Names{known: known, make: handler}
}

// Main returns the known name for a host, or DeadName; see hostname.MainOf.
func (n *Names) Main(host string) string {
	if hostname.IsMetadata(host) {
		return MetadataName
	}
	name := hostname.MainOf(host)
	if !slices.Contains(n.known, name) {
		return DeadName
	}
	return name
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
