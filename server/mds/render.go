package mds

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"strings"

	"gcp-metadata-emulator/server/wire"
)

// The content types, without parameters as Google's server sends them: clients compare the
// whole string.
const (
	textType = "application/text"
	jsonType = "application/json"
)

// form is the requested form of an answer.
type form uint8

const (
	defaultForm form = iota
	jsonForm
	textForm
)

// rendering is an answer, usually a rendered entry.
type rendering struct {
	wire.Response

	etag string // empty if the entry cannot change
}

func newRendering(contentType, body, etag string) rendering {
	return rendering{wire.Response{ContentType: contentType, Header: []wire.Field{{Name: "ETag", Value: etag}}, Body: body}, etag}
}

// document is an entry with everything below it, in both forms. A leaf with a JSON document has
// a third form: its text, with the content type of JSON.
type document struct{ json, text, indented rendering }

// etagOf returns the ETag of a content: 64 bits of its SHA-256, in hexadecimal without leading
// zeros. The same content always has the same ETag.
func etagOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return strconv.FormatUint(binary.BigEndian.Uint64(sum[:]), 16)
}

// isContent reports whether the answer to a request for the entry is its content. A directory's
// content is its listing, but only if the path ends with a slash, and only in the default form
// and without waiting.
func (n *node) isContent(slash bool, q *query) bool {
	if n.kind == directory && !q.recursive {
		return slash && !q.wait && q.form == defaultForm
	}
	return !n.isEndpoint()
}

// render returns the entry in the requested form.
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

// listing renders the names of a directory's entries.
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

// document renders the entry with everything below it, except endpoints. It renders only once.
// Both forms have the same ETag, different from the ETag of a directory's listing.
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

// json returns a leaf as JSON.
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

// asText returns a leaf's value, a list's items on a line each, or the text form of a
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

// appendText writes a line "path value" for each leaf and for each item of a list.
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
