package unplayed

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"gcp-metadata-emulator/server/router/hostname"
)

// packed holds the methods of APIs, compressed from methods.txt to a sixth of its size (TestReadmeTextsArePacked in
// package server writes it). They come from Google's discovery documents
// (https://www.googleapis.com/discovery/v1/apis). A line without an indent names an API and its host.
// Every other line adds segments to the path of the nearest line above it with a smaller indent, and
// has the methods of that path: an HTTP method and a name. The resource of the line above begins a
// name that begins with a dot.
//
//go:embed methods.gz
var packed []byte

// api holds the methods of one API.
type api struct {
	name, host string
	root       node
}

// node is a segment of paths.
type node struct {
	children map[string]*node
	methods  map[string]string // names by HTTP method
}

// apis returns the table. Most programs never need it, so it is read late.
var apis = sync.OnceValue(func() []*api { return read(unpack(packed)) }) //nolint:gochecknoglobals // one copy serves every emulator

// unpack returns a compressed text.
func unpack(packed []byte) string {
	reader, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		panic(fmt.Sprintf("unpack the methods of APIs: %v", err)) // a test has read the same bytes
	}
	text, err := io.ReadAll(reader)
	if err != nil {
		panic(fmt.Sprintf("unpack the methods of APIs: %v", err))
	}
	return string(text)
}

// line is a line of the table above the current one.
type line struct {
	indent   int
	node     *node
	resource string
}

func read(table string) []*api {
	var list []*api
	var above []line
	for text := range strings.Lines(table) {
		fields := strings.Fields(text)
		indent := len(text) - len(strings.TrimLeft(text, " "))
		if indent == 0 {
			list = append(list, &api{name: fields[0], host: fields[1]})
			above = []line{{0, &list[len(list)-1].root, ""}}
			continue
		}
		for above[len(above)-1].indent >= indent {
			above = above[:len(above)-1]
		}
		parent := above[len(above)-1]
		own := line{indent, parent.node.at(fields[0]), parent.resource}
		for i := 1; i+1 < len(fields); i += 2 {
			own.resource = own.node.add(fields[i], fields[i+1], own.resource)
		}
		above = append(above, own)
	}
	return list
}

// at returns the node at a path below n, and makes it if it does not exist.
func (n *node) at(path string) *node {
	for segment := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if n.children == nil {
			n.children = map[string]*node{}
		}
		if n.children[segment] == nil {
			n.children[segment] = &node{}
		}
		n = n.children[segment]
	}
	return n
}

// add adds a method, and returns its resource.
func (n *node) add(method, name, resource string) string {
	if strings.HasPrefix(name, ".") {
		name = resource + name
	}
	if n.methods == nil {
		n.methods = map[string]string{}
	}
	n.methods[method] = name
	return name[:max(0, strings.LastIndexByte(name, '.'))]
}

// find returns the name of the method at a path below n, or "".
func (n *node) find(method string, path []string) string {
	if len(path) == 0 {
		return n.methods[method]
	}
	segment, wild := path[0], "*"
	if i := strings.LastIndexByte(segment, ':'); i >= 0 && len(path) == 1 {
		wild += segment[i:] // a custom method, as in keys/KEY:disable
	}
	for _, pattern := range []string{segment, wild} {
		if child := n.children[pattern]; child != nil {
			if name := child.find(method, path[1:]); name != "" {
				return name
			}
		}
	}
	return ""
}

// shared is the host of APIs without their own host, now or in the past.
const shared = "www.googleapis.com"

// Names returns the names of Google's methods for a request, such as compute.instances.insert. There
// may be several if the request does not address an API by its name.
func Names(r Request) []string {
	host := hostname.MainOf(r.Host)
	path := strings.TrimPrefix(r.Path, "/")
	for _, media := range []string{"resumable/", "upload/", "download/"} { // the same methods take and give content there
		path = strings.TrimPrefix(path, media)
	}
	segments := strings.Split(path, "/")
	method := r.Method
	if method == "HEAD" {
		method = "GET"
	}
	var names []string
	for _, a := range apis() {
		if host != "" && host != shared && host != a.host {
			continue
		}
		if name := a.root.find(method, segments); name != "" && !slices.Contains(names, a.name+"."+name) {
			names = append(names, a.name+"."+name)
		}
	}
	return names
}
