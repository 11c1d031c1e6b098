package mds

import (
	"net/http"
	"strings"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/workloads"
	"gcp-metadata-emulator/server/world"
)

// Operation is the operation of a request below /computeMetadata. The entry of the tree at the
// request's path determines it.
type Operation int

// The operations. A path without an entry is a Value, which is then missing.
const (
	Value           Operation = iota // a value, a list or a directory
	Token                            // an access token of a service account
	Identity                         // an ID token of a service account
	GuestAttributes                  // a guest attribute of a VM, which need not exist yet
	OSLogin                          // a query of OS Login

	Operations // the number of operations
)

// Found is the result of the only look-up of a request below /computeMetadata. It determines
// the operation, the subject and the answer.
type Found struct {
	store.Snapshot[*world.World]

	tree    *tree // nil if the request has no instance
	rule    workloads.Rule
	refusal *journal.Refusal // why it has none; nil if the instance has been removed
	place
}

// place is the result of following a path in a tree.
type place struct {
	node    *node  // nil if there is no entry
	account string // the e-mail address of the account in the path, or the unknown name in its place
	slash   bool   // the path ends with a slash
	guest   bool   // the path leads to the guest attributes of a VM, or below them
	login   login  // the query of OS Login that the path leads to
}

// Find looks up a request below /computeMetadata.
func (s *Server) Find(r *http.Request) Found {
	snapshot := s.worlds.Load()
	choice := s.choose(r, snapshot.State)
	if choice.Instance == nil {
		return Found{Snapshot: snapshot, rule: choice.Rule, refusal: choice.Refusal}
	}
	tree := s.tree(snapshot.State, choice.Instance)
	return Found{snapshot, tree, choice.Rule, nil, tree.lookUp(r.URL.EscapedPath())}
}

// renew looks the request up in the current world. It keeps the instance's name, even if another
// instance is now the first. It returns false if the instance has been removed, or the address of the
// caller is now another instance's.
func (s *Server) renew(r *http.Request, found *Found) bool {
	snapshot := s.worlds.Load()
	instance, ok := snapshot.State.Instance(found.tree.instance.Name)
	if !ok || !workloads.Stays(snapshot.State, instance.Name, found.rule, r.RemoteAddr) {
		return false
	}
	tree := s.tree(snapshot.State, instance)
	*found = Found{snapshot, tree, found.rule, nil, tree.lookUp(r.URL.EscapedPath())}
	return true
}

// Operation returns the operation of the request.
func (f Found) Operation() Operation {
	switch {
	case f.guest:
		return GuestAttributes
	case f.login != noLogin:
		return OSLogin
	case f.node == nil:
		return Value
	case f.node.kind == tokenEndpoint:
		return Token
	case f.node.kind == identityEndpoint:
		return Identity
	default:
		return Value
	}
}

// Subject returns the subject of a request for "/", which is only the instance.
func (s *Server) Subject(r *http.Request) wire.Subject {
	choice := s.choose(r, s.worlds.Load().State)
	if choice.Instance == nil {
		return wire.Subject{ChosenBy: string(choice.Rule)}
	}
	return wire.Subject{Instance: choice.Instance.Name, ChosenBy: string(choice.Rule)}
}

// Subject returns the instance of the request. Below a service account it adds the account's
// e-mail address, and for an ID token the audience.
func (f Found) Subject(r *http.Request) wire.Subject {
	if f.tree == nil {
		return wire.Subject{ChosenBy: string(f.rule)}
	}
	subject := wire.Subject{Instance: f.tree.instance.Name, ChosenBy: string(f.rule), Account: f.account}
	if f.Operation() == Identity {
		var q query
		q.parse(r.URL.RawQuery)
		subject.Audience = q.audience
	}
	return subject
}

// lookUp finds the entry at a raw path: Google's server does not decode percent escapes. Repeated
// slashes count as a single slash.
func (t *tree) lookUp(path string) place {
	found := place{node: t.root}
	rest, isBelow := strings.CutPrefix(path, "/computeMetadata/v1/")
	if isBelow { // as nearly every path is
		found.node = t.base
	}
	for rest != "" {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		if name == "" {
			continue
		}
		above := found.node
		found.node, _ = above.child(name)
		if above == t.accounts || above == t.top || above == t.osLogin {
			t.recognise(&found, above, name)
			if rest != "" || strings.HasSuffix(path, "/") { // nothing is below a query of OS Login
				found.login = noLogin
			}
		}
		if found.node == nil {
			return found
		}
	}
	found.slash = strings.HasSuffix(path, "/")
	if found.slash && found.node.kind != directory {
		found.node = nil
	}
	return found
}

// recognise notes the meaning of a name below a special directory of the tree.
func (t *tree) recognise(found *place, above *node, name string) {
	switch above {
	case t.accounts:
		found.account = name
		if found.node != nil && found.node.account != nil {
			found.account = found.node.account.Account.Email
		}
	case t.top:
		found.guest = name == "guest-attributes" && t.instance.Profile == fixtures.GCE
	case t.osLogin:
		found.login = loginOf(name)
	}
}
