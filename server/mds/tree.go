package mds

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/world"
)

// kind is what an entry of the tree is.
type kind int

const (
	directory kind = iota
	list           // several values, a line each
	leaf           // one value
	tokenEndpoint
	identityEndpoint
)

// node is an entry of the tree. It does not change once it is built.
type node struct {
	kind kind
	name string // as listings have it: kebab case, without a slash
	key  string // as JSON has it: camel case

	text string // of a leaf
	json string // of a leaf: its JSON encoding

	isArray  bool             // of a directory: JSON has an array, without names
	children []*node          // of a directory, in the order of listings; the leaves of a list
	index    map[string]*node // of a directory: by name

	jsonByDefault bool // of a list or a leaf: read as JSON unless text is asked for

	account world.AttachedAccount // of an endpoint

	whole atomic.Pointer[document] // with everything below it, once asked for
}

// child finds an entry of a directory.
func (n *node) child(name string) (*node, bool) {
	found, ok := n.index[name]
	return found, ok
}

func (n *node) isEndpoint() bool { return n.kind == tokenEndpoint || n.kind == identityEndpoint }

// build makes the tree of an instance, from "/" on.
func build(instance *world.Instance) *node {
	tree := object("v1", instance.Metadata, fixtures.Naming{})
	if accounts, ok := tree.find("instance", "service-accounts"); ok {
		for _, attached := range instance.ServiceAccounts {
			for _, name := range append([]string{attached.Account.Email}, attached.Aliases...) {
				if entry, ok := accounts.child(name); ok && entry.kind == directory {
					entry.add(&node{kind: identityEndpoint, name: "identity", account: attached},
						&node{kind: tokenEndpoint, name: "token", account: attached})
				}
			}
		}
	}
	return newDirectory("", newDirectory("computeMetadata", tree))
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

func newDirectory(name string, children ...*node) *node {
	n := &node{kind: directory, name: name, index: make(map[string]*node, len(children))}
	n.add(children...)
	return n
}

func (n *node) add(children ...*node) {
	for _, child := range children {
		n.index[child.name] = child
	}
	n.children = append(n.children, children...)
	if !n.isArray { // the entries of an array keep their order, 10 after 9
		slices.SortFunc(n.children, func(a, b *node) int {
			return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.key, b.key))
		})
	}
}

// entry makes the node of a document's value.
func entry(key string, value any, naming fixtures.Naming) *node {
	name, below := naming.Name(key), naming.Below(key)
	var n *node
	switch value := value.(type) {
	case map[string]any:
		n = object(name, value, below)
	case []any:
		n = array(key, name, value, below)
	default:
		n = scalar(name, value)
	}
	if naming.IsDocument(key) && isContainer(value) {
		n = &node{kind: leaf, name: name, text: indented(value), json: compact(value), jsonByDefault: true}
	}
	n.key = key
	return n
}

func object(name string, document map[string]any, below fixtures.Naming) *node {
	children := make([]*node, 0, len(document))
	for key, value := range document {
		children = append(children, entry(key, value, below))
	}
	return newDirectory(name, children...)
}

// array makes a list of scalars, and of anything else a directory of numbers. Two lists of
// addresses are directories although their items are scalars.
func array(key, name string, items []any, below fixtures.Naming) *node {
	scalars := !slices.ContainsFunc(items, isContainer)
	empty := len(items) == 0
	switch key {
	case "forwardedIps", "forwardedIpv6s", "ipAliases":
		return numbered(name, items, below)
	case "disks", "licenses", "networkInterfaces", "accessConfigs":
		if empty {
			return numbered(name, items, below)
		}
	}
	if !scalars {
		return numbered(name, items, below)
	}
	n := &node{kind: list, name: name, jsonByDefault: key == "tags"}
	for _, item := range items {
		n.children = append(n.children, scalar("", item))
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

func numbered(name string, items []any, below fixtures.Naming) *node {
	n := &node{kind: directory, name: name, isArray: true, index: make(map[string]*node, len(items))}
	for i, item := range items {
		child := entry(strconv.Itoa(i), item, fixtures.Naming{})
		if fields, ok := item.(map[string]any); ok {
			child = object(strconv.Itoa(i), fields, below)
		}
		n.add(child)
	}
	return n
}

func scalar(name string, value any) *node {
	return &node{kind: leaf, name: name, text: text(value), json: encoded(value)}
}

// text is a scalar as a leaf's text.
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

func encoded(value any) string {
	if value, ok := value.(string); ok {
		return quote(value)
	}
	if value == nil {
		return "null"
	}
	return fmt.Sprint(value)
}

// quote writes a JSON string without HTML escapes.
func quote(value string) string { return compact(value) }

func compact(value any) string { return encode(value, "") }

// indented writes a document as Google's server does.
func indented(value any) string { return encode(value, " ") }

func encode(value any, indent string) string {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", indent)
	_ = encoder.Encode(value) //nolint:errchkjson // what was read from JSON can be written as JSON
	return strings.TrimSuffix(out.String(), "\n")
}
