package mds

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"strings"

	"gcp-metadata-emulator/server/wire"
)

// Content types, bare as Google's server sends them: clients compare the whole string.
const (
	textType = "application/text"
	jsonType = "application/json"
)

// form is one of the two forms of an answer.
type form uint8

const (
	defaultForm form = iota
	jsonForm
	textForm
)

// rendering is an answer: mostly an entry as it is sent.
type rendering struct {
	wire.Response

	etag string // empty where there is nothing that could change
}

func newRendering(contentType, body, etag string) rendering {
	return rendering{wire.Response{ContentType: contentType, Header: []wire.Field{{Name: "ETag", Value: etag}}, Body: body}, etag}
}

// document is an entry with everything below it, in both forms. A leaf that is a JSON
// document has a third, which is the text of one and the content type of the other.
type document struct{ json, text, indented rendering }

// etagOf is the ETag of a content: 64 bits of a hash, in hexadecimal without leading
// zeros. It depends on the content alone, so that it comes back when the content does.
func etagOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return strconv.FormatUint(binary.BigEndian.Uint64(sum[:]), 16)
}

// isContent tells whether a request for an entry is answered with its content. Of a
// directory there is a listing, but only under its name with a slash, and nobody can wait
// for it or ask for another form.
func (n *node) isContent(slash bool, q *query) bool {
	if n.kind == directory && !q.recursive {
		return slash && !q.wait && q.form == defaultForm
	}
	return !n.isEndpoint()
}

// render gives an entry the form that a query asks for.
func (n *node) render(q *query) *rendering {
	switch {
	case n.kind == directory && !q.recursive:
		return n.listing()
	case n.kind == leaf && n.jsonByDefault && q.form == defaultForm:
		return &n.document().indented
	case q.form == textForm, q.form == defaultForm && n.kind != directory && !n.jsonByDefault:
		return &n.document().text
	default:
		return &n.document().json
	}
}

// listing renders a directory without what is below its entries.
func (n *node) listing() *rendering {
	var out strings.Builder
	for _, child := range n.children {
		out.WriteString(child.name)
		if child.kind == directory {
			out.WriteByte('/')
		}
		out.WriteByte('\n')
	}
	listing := newRendering(textType, out.String(), etagOf(out.String()))
	return &listing
}

// document renders an entry and everything below it, endpoints left out. It is done once.
// Both forms have one ETag, and a directory's is not that of its listing.
func (n *node) document() *document {
	if whole := n.whole.Load(); whole != nil {
		return whole
	}
	encoded := n.asJSON()
	hashed := encoded
	if n.kind == directory {
		hashed = "recursive\n" + encoded
	}
	etag := etagOf(hashed)
	whole := &document{
		json: newRendering(jsonType, encoded, etag),
		text: newRendering(textType, n.asText(), etag),
	}
	if n.kind == leaf && n.jsonByDefault {
		whole.indented = newRendering(jsonType, n.text, etag)
	}
	n.whole.Store(whole)
	return whole
}

func (n *node) asJSON() string {
	var out strings.Builder
	n.appendJSON(&out)
	return out.String()
}

func (n *node) appendJSON(out *strings.Builder) {
	switch n.kind {
	case leaf:
		out.WriteString(n.json())
	case list:
		n.appendItems(out)
	case directory:
		n.appendEntries(out)
	case tokenEndpoint, identityEndpoint: // not part of a document
	}
}

// json is a leaf as JSON.
func (n *node) json() string {
	if text, ok := n.value.(string); ok {
		return quote(text)
	}
	return wire.Compact(n.value)
}

func (n *node) appendItems(out *strings.Builder) {
	out.WriteByte('[')
	for i, item := range n.children {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString(item.json())
	}
	out.WriteByte(']')
}

func (n *node) appendEntries(out *strings.Builder) {
	brackets := "{}"
	if n.isArray {
		brackets = "[]"
	}
	out.WriteByte(brackets[0])
	first := true
	for _, child := range n.children {
		if child.isEndpoint() {
			continue
		}
		if !first {
			out.WriteByte(',')
		}
		first = false
		if !n.isArray {
			out.WriteString(quote(child.key))
			out.WriteByte(':')
		}
		child.appendJSON(out)
	}
	out.WriteByte(brackets[1])
}

// asText is a leaf's value, the items of a list with a newline each, or what is below a
// directory.
func (n *node) asText() string {
	if n.kind == leaf {
		return n.text
	}
	var out strings.Builder
	if n.kind == directory {
		n.appendText(&out, "")
	}
	if n.kind == list {
		for _, item := range n.children {
			out.WriteString(item.text + "\n")
		}
	}
	return out.String()
}

// appendText writes "path value" lines, one for each leaf and for each item of a list.
func (n *node) appendText(out *strings.Builder, path string) {
	switch n.kind {
	case leaf:
		out.WriteString(path + " " + n.text + "\n")
	case list:
		for _, item := range n.children {
			out.WriteString(path + " " + item.text + "\n")
		}
	case directory:
		if path != "" {
			path += "/"
		}
		for _, child := range n.children {
			child.appendText(out, path+child.name)
		}
	case tokenEndpoint, identityEndpoint: // not part of a document
	}
}
