package mds

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// kind is the kind of an entry of the tree.
type kind int

const (
	directory kind = iota
	list           // several values, one per line
	leaf           // one value
	tokenEndpoint
	identityEndpoint
)

// node is an entry of the tree. It does not change after the tree is built.
type node struct {
	kind kind
	name string // the name in listings: kebab case, without a slash
	key  string // the name in JSON: camel case

	value any    // the value in the document
	text  string // the text of a leaf

	isArray  bool    // a directory that is an array in JSON
	children []*node // a directory's entries in the order of listings, or the leaves of a list

	jsonByDefault bool // a list or leaf whose default form is JSON

	account *world.AttachedAccount // the account of an endpoint, or of the directory with the endpoints

	whole atomic.Pointer[document] // the rendered entry, after the first request
}

// child returns the named entry of a directory.
func (n *node) child(name string) (*node, bool) {
	at, found := n.search(name)
	if !found {
		return nil, false
	}
	return n.children[at], true
}

// search returns the index of a directory's entry, or the index for inserting it.
func (n *node) search(name string) (at int, found bool) {
	switch {
	case n.kind != directory:
		return 0, false
	case n.isArray: // sorted by number: 10 follows 9
		at, err := strconv.Atoi(name)
		return at, err == nil && 0 <= at && at < len(n.children) && n.children[at].name == name
	}
	return slices.BinarySearchFunc(n.children, name, func(n *node, name string) int { return strings.Compare(n.name, name) })
}

func (n *node) isEndpoint() bool { return n.kind == tokenEndpoint || n.kind == identityEndpoint }

// build returns the tree of an instance, starting at "/". It reuses the nodes of unchanged
// values from the instance's earlier tree, unless before is nil.
func build(instance *world.Instance, before *node) *node {
	var tree *node
	if before != nil {
		tree, _ = before.find("computeMetadata", "v1")
	}
	tree = entry("v1", instance.Metadata, fixtures.Naming{}, tree)
	if accounts, ok := tree.find("instance", "service-accounts"); ok {
		for i := range instance.ServiceAccounts {
			attached := &instance.ServiceAccounts[i]
			for _, name := range append([]string{attached.Account.Email}, attached.Aliases...) {
				if entry, ok := accounts.child(name); ok && entry.kind == directory {
					entry.attach(attached)
				}
			}
		}
	}
	return above("", above("computeMetadata", tree))
}

// above returns a directory with a single entry.
func above(name string, child *node) *node {
	return &node{kind: directory, name: name, key: name, children: []*node{child}}
}

func (n *node) find(path ...string) (*node, bool) {
	for _, name := range path {
		next, ok := n.child(name)
		if !ok {
			return nil, false
		}
		n = next
	}
	return n, true
}

// attach adds the token and identity endpoints to an account's directory, in place of recorded
// entries of these names. It keeps the endpoints of the earlier tree.
func (n *node) attach(account *world.AttachedAccount) {
	if known, ok := n.child("token"); ok && known.account == account {
		return
	}
	n.account = account
	for _, endpoint := range []*node{
		{kind: identityEndpoint, name: "identity", account: account},
		{kind: tokenEndpoint, name: "token", account: account},
	} {
		if at, taken := n.search(endpoint.name); taken {
			n.children[at] = endpoint
		} else {
			n.children = slices.Insert(n.children, at, endpoint)
		}
	}
}

// entry returns a node for a value of the document, or the earlier node if the value is the
// same.
func entry(key string, value any, naming fixtures.Naming, before *node) *node {
	if before != nil && before.key == key && isSame(before.value, value) {
		return before
	}
	n := &node{kind: leaf, name: naming.Name(key), key: key, value: value}
	items, isList := value.([]any)
	fields, isObject := value.(map[string]any)
	switch {
	case naming.IsDocument(key) && (isList || isObject):
		n.text, n.jsonByDefault = strings.TrimSuffix(wire.Indented(value, " "), "\n"), true // as Google's server does
	case isObject && naming.HasTwoKinds(key):
		n.text = lines(fields)
	case isObject:
		n.object(fields, naming.Below(key), before)
	case isList:
		n.array(items, naming.Below(key), before)
	default:
		n.text = text(value)
	}
	return n
}

// lines returns the fields of an object that always reads as text.
func lines(fields map[string]any) string {
	out := make([]string, 0, len(fields))
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		out = append(out, key+" "+text(fields[key]))
	}
	return strings.Join(out, "\n")
}

// isSame reports whether two values are identical: the same object or list in memory, or equal
// scalars. Values in a world never change.
func isSame(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer()
	case []any:
		b, ok := b.([]any)
		return ok && len(a) == len(b) && len(a) > 0 && &a[0] == &b[0]
	}
	return !isContainer(b) && a == b
}

// object makes the node a directory.
func (n *node) object(document map[string]any, below fixtures.Naming, before *node) {
	n.kind, n.children = directory, make([]*node, 0, len(document))
	var known map[string]any // the earlier value; before.children has its entries, in order
	if before != nil {
		known, _ = before.value.(map[string]any)
	}
	if before == nil || len(before.children) != len(known) {
		known, before = nil, &node{}
	}
	for _, old := range before.children {
		if value, still := document[old.key]; still {
			n.children = append(n.children, entry(old.key, value, below, old))
		}
	}
	if len(n.children) == len(document) {
		return
	}
	for key, value := range document {
		if _, old := known[key]; !old {
			n.children = append(n.children, entry(key, value, below, nil))
		}
	}
	slices.SortFunc(n.children, func(a, b *node) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.key, b.key))
	})
	// The reader of fixtures refuses two keys with the same name.
	n.children = slices.CompactFunc(n.children, func(a, b *node) bool { return a.name == b.name })
}

// array makes the node a list if all items are scalars, and otherwise a directory of numbers.
// Some lists of addresses are directories despite their scalar items.
func (n *node) array(items []any, below fixtures.Naming, before *node) {
	key := fixtures.Naming{}.Canonical(n.key)
	switch isEmpty := len(items) == 0; {
	case slices.ContainsFunc(items, isContainer),
		slices.Contains([]string{"forwardedIps", "forwardedIpv6s", "ipAliases"}, key),
		isEmpty && slices.Contains([]string{"disks", "licenses", "networkInterfaces", "accessConfigs"}, key):
		n.kind, n.isArray = directory, true
	default:
		n.kind, n.jsonByDefault = list, key == "tags"
	}
	n.children = make([]*node, len(items))
	for i, item := range items {
		var old *node
		if before != nil && before.isArray == n.isArray && i < len(before.children) {
			old = before.children[i]
		}
		n.children[i] = element(strconv.Itoa(i), item, below, old)
	}
}

// element returns a node for an item of a list.
func element(number string, item any, below fixtures.Naming, before *node) *node {
	if before != nil && isSame(before.value, item) {
		return before
	}
	n := &node{kind: leaf, name: number, key: number, value: item}
	switch item := item.(type) {
	case map[string]any:
		n.object(item, below, before)
	case []any:
		n.array(item, fixtures.Naming{}, before)
	default:
		n.text = text(item)
	}
	return n
}

func isContainer(value any) bool {
	switch value.(type) {
	case map[string]any, []any:
		return true
	default:
		return false
	}
}

// text returns a scalar as the text of a leaf.
func text(value any) string {
	switch value := value.(type) {
	case string:
		return value
	case nil:
		return ""
	default: // json.Number, bool
		return fmt.Sprint(value)
	}
}

// quote returns text as a JSON string without HTML escapes. Most texts need no escapes.
func quote(text string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == '"' || r == '\\' || r > '~' }) {
		return `"` + text + `"`
	}
	return wire.Compact(text)
}
