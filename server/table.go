package server

import (
	"net/http"
	"slices"
	"strings"

	"gcp-metadata-emulator/server/fault"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/mds"
	"gcp-metadata-emulator/server/router"
	"gcp-metadata-emulator/server/rpc"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
)

// surface is one API that the emulator plays, with its routes. Every field but Routes, Entries
// and Calls must say something; a test names a surface with a field that does not.
type surface struct {
	Name    string
	Hosts   []string     // Google's host names under which programs find it
	Dialect wire.Dialect // of its answers and errors
	Guard   shield       // which requests reach a handler
	Watch   watch        // whether its operations are observed
	Unknown fallback     // answers a path that begins like a route of the surface and matches none

	Routes  []route
	Entries []entry
	Calls   []call
}

// route is an operation that is known by its method and path. Its rows are written without the
// names of the columns, so that a row that lacks a column does not compile; a test names a row
// with an empty column.
type route struct {
	Name    string       // its label in the journal, in faults, in metrics and on the page
	Method  string       // an HTTP method, or getOrPost
	Path    string       // see router.Route
	Handle  wire.Handler // answers
	Subject subject      // what its requests are about
	Mints   token.Kind   // the kind of token that it gives out, or nothing
	Query   query        // the query parameters that it takes
}

// entry is an operation of the metadata tree: which one a request is for, depends on the entry
// of the tree that its path leads to. Like Google's, the server ignores query parameters that it
// does not know.
type entry struct {
	Name    string
	Asks    mds.Operation // what requests ask for that lead to the entry
	Subject treeSubject
	Mints   token.Kind
}

// call is an operation that is served in gRPC too, under the name of the route that does the
// same in JSON.
type call struct {
	Name    string
	Method  string // the full name of the method
	Handle  rpc.Method
	Subject func(message any) wire.Subject
	Mints   token.Kind
}

// treeSubject says what the requests of an entry are about.
type treeSubject func(found mds.Found, r *http.Request) wire.Subject

// watch says whether the operations of a surface are observed: written down in the journal,
// counted, and struck by faults.
type watch string

const (
	observed   watch = "observed"
	unobserved watch = "unobserved" // the control plane, which gets a test out of any trouble
)

// shield stands before the handlers of a surface.
type shield func(wire.Handler) wire.Handler

// unguarded is the shield of surfaces that take no credential of Google's.
func unguarded(handle wire.Handler) wire.Handler { return handle }

const (
	nothing token.Kind = "nothing"  // the operation gives out no token
	toOrder token.Kind = "to order" // the request names the kind of the token, and its defect
)

// fallback is a handler with a guard and a dialect of its own.
type fallback struct {
	Dialect wire.Dialect
	Handle  wire.Handler
}

// subject says what the requests of an operation are about.
type subject struct {
	is string // empty: undecided
	of func(*http.Request) wire.Subject
}

// about finds out what a request is about by a function.
func about(of func(*http.Request) wire.Subject) subject { return subject{"found", of} }

// aboutNothing says that requests name no account and no audience.
func aboutNothing() subject { return subject{"nothing", nil} }

// query names the query parameters that an operation takes, with spaces between the names.
type query string

const (
	getOrPost = router.GetOrPost

	anyQuery query = "any"  // the handler reads the query, or ignores it as Google's servers do
	noQuery  query = "none" // a request with any parameter is refused
)

// exchanges returns the parameters that select exchanges of the journal.
func exchanges() query { return query(strings.Join(journal.Parameters(), " ")) }

// parameters are the names of a query, unless it may have any.
func (q query) parameters() (names []string, limited bool) {
	if q == anyQuery {
		return nil, false
	}
	if q == noQuery {
		return nil, true
	}
	return strings.Fields(string(q)), true
}

// table is every surface, in the order in which routes with the same first segment are tried.
type table []surface

// unknownRoute is the name of the requests that no surface answers.
const unknownRoute = "unknown"

// names are the operations that are observed, and that a fault can strike.
func (t table) names() []string {
	names := []string{unknownRoute}
	for _, s := range t {
		if s.Watch == observed {
			names = append(names, s.names()...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// names are the operations of a surface.
func (s surface) names() []string {
	var names []string
	for _, route := range s.Routes {
		names = append(names, route.Name)
	}
	for _, entry := range s.Entries {
		names = append(names, entry.Name)
	}
	for _, call := range s.Calls {
		names = append(names, call.Name)
	}
	return names
}

// defects are the defects that the tokens of an operation can have, by the kind that it mints.
func (t table) defects() fault.Defects {
	possible := fault.Defects{}
	add := func(name string, kind token.Kind) {
		for _, defect := range kind.Defects() {
			possible[name] = append(possible[name], string(defect))
		}
	}
	for _, s := range t {
		for _, route := range s.Routes {
			if possible[route.Name] == nil {
				add(route.Name, route.Mints)
			}
		}
		for _, entry := range s.Entries {
			add(entry.Name, entry.Mints)
		}
	}
	return possible
}

// hosts are the host names of all surfaces.
func (t table) hosts() []string {
	var names []string
	for _, s := range t {
		names = append(names, s.Hosts...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// calls are the operations that are served in gRPC, by the full names of their methods.
func (t table) calls() map[string]call {
	calls := map[string]call{}
	for _, s := range t {
		for _, call := range s.Calls {
			calls[call.Method] = call
		}
	}
	return calls
}

// without returns the surfaces that a host name does not lead to.
func (t table) without(host string) table {
	return slices.DeleteFunc(slices.Clone(t), func(s surface) bool { return slices.Contains(s.Hosts, host) })
}

// at returns the surfaces that a host name leads to.
func (t table) at(host string) table {
	return slices.DeleteFunc(slices.Clone(t), func(s surface) bool { return !slices.Contains(s.Hosts, host) })
}
