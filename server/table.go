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

// surface is an API of the emulator, with its routes. Only Routes, Entries and Calls may be empty; a
// test names a surface with another empty field.
type surface struct {
	Name    string
	Hosts   []string     // Google's host names of the API
	Dialect wire.Dialect // of its answers and errors
	Guard   shield       // decides which requests reach a handler
	Watch   watch        // whether its operations are observed
	Unknown fallback     // answers a path that begins like a route of the surface and matches none

	Routes  []route
	Entries []entry
	Calls   []call
}

// route is an operation with a method and a path. The rows of the table leave out the names of the
// fields, so that a row without a decision does not compile; a test names a row with an empty field.
type route struct {
	Name    string       // its label in the journal, in faults, in metrics and on the page
	Method  string       // an HTTP method, or getOrPost
	Path    string       // see router.Route
	Handle  wire.Handler // answers
	Subject subject      // finds the account and the audience of its requests
	Mints   token.Kind   // the kind of token that it issues, or nothing
	Query   query        // the query parameters that it takes
}

// entry is an operation of the metadata tree. The entry of the tree that a request's path leads to
// decides the operation. Like Google's server, the emulator ignores unknown query parameters.
type entry struct {
	Name    string
	Asks    mds.Operation // the operation of requests for the entry
	Subject treeSubject
	Mints   token.Kind
}

// call is an operation in gRPC. It has the name of the route for the same operation in JSON.
type call struct {
	Name    string
	Method  string // the full name of the method
	Handle  rpc.Method
	Subject func(message any) wire.Subject
	Mints   token.Kind
}

// treeSubject finds the account and the audience of a request for an entry.
type treeSubject func(found mds.Found, r *http.Request) wire.Subject

// watch says whether the operations of a surface are observed: recorded in the journal, counted,
// and struck by faults.
type watch string

const (
	observed   watch = "observed"
	public     watch = "observed, and open to everybody" // no rule refuses a request, so none needs a place for its reason
	unobserved watch = "unobserved"                      // for the control plane, which must be able to remove every fault
)

// shield guards a handler of a surface.
type shield func(wire.Handler) wire.Handler

// unguarded is the shield of surfaces that accept no Google credentials.
func unguarded(handle wire.Handler) wire.Handler { return handle }

const (
	nothing token.Kind = "nothing"  // the operation issues no token
	toOrder token.Kind = "to order" // the request names the kind of the token, and its defect
)

// isJWT reports whether tokens of a kind are, or may be, JSON Web Tokens.
func isJWT(kind token.Kind) bool { return kind != nothing && kind != token.KindAccess }

// fallback is a handler with a guard and a dialect of its own.
type fallback struct {
	Dialect wire.Dialect
	Handle  wire.Handler
}

// subject says how to find the account and the audience of an operation's requests.
type subject struct {
	is string // empty: undecided
	of func(*http.Request) wire.Subject
}

// about returns a subject that a function finds.
func about(of func(*http.Request) wire.Subject) subject { return subject{"found", of} }

// aboutNothing returns the subject of requests that name neither an account nor an audience.
func aboutNothing() subject { return subject{"nothing", nil} }

// query names the query parameters that an operation takes, with spaces between the names.
type query string

const (
	getOrPost = router.GetOrPost

	anyQuery query = "any"  // the handler reads the query, or ignores it as Google's servers do
	noQuery  query = "none" // a request with any parameter is refused

	ofReplica query = "replica" // which replicas the request is about
)

// exchanges returns the parameters that select exchanges of the journal.
func exchanges() query { return query(strings.Join(journal.Parameters(), " ")) }

// also returns a query with more parameters.
func (q query) also(more query) query {
	if q == noQuery {
		return more
	}
	return q + " " + more
}

// parameters returns the names in a query. limited is false if the query may have any parameter.
func (q query) parameters() (names []string, limited bool) {
	if q == anyQuery {
		return nil, false
	}
	if q == noQuery {
		return nil, true
	}
	return strings.Fields(string(q)), true
}

// table holds every surface, in the order in which routes with the same first segment are tried.
type table []surface

// unknownRoute is the route name of requests that no surface answers.
const unknownRoute = "unknown"

// names returns the observed operations. A fault can strike each of them.
func (t table) names() []string {
	names := []string{unknownRoute}
	for _, s := range t {
		if s.Watch != unobserved {
			names = append(names, s.names()...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// names returns the operations of a surface.
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

// defects returns the defects that the tokens of each operation can have.
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

// hosts returns the host names of all surfaces.
func (t table) hosts() []string {
	var names []string
	for _, s := range t {
		names = append(names, s.Hosts...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// paths returns the paths of a surface without variables in its paths.
func (s surface) paths() []string {
	var paths []string
	for _, route := range s.Routes {
		paths = append(paths, route.Path)
	}
	return paths
}

// calls returns the operations in gRPC, by the full names of their methods.
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
