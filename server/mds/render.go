package mds

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"strings"
)

// Content types, bare as Google's server sends them: clients compare the whole string.
const (
	textType = "application/text"
	jsonType = "application/json"
)

// form is one of the two forms of an answer.
type form int

const (
	defaultForm form = iota
	jsonForm
	textForm
)

// rendering is an entry as it is sent.
type rendering struct {
	contentType string
	body        string
	etag        string
}

// document is a directory with everything below it, in both forms.
type document struct{ json, text rendering }

// etagOf is the ETag of a content: 64 bits of a hash, in hexadecimal without leading
// zeros. It depends on the content alone, so that it comes back when the content does.
func etagOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return strconv.FormatUint(binary.BigEndian.Uint64(sum[:]), 16)
}

// render gives an entry the form that a query asks for.
func (n *node) render(q query) rendering {
	switch {
	case n.kind != directory && (q.form == jsonForm || q.form == defaultForm && n.jsonByDefault):
		encoded := n.asJSON()
		return rendering{jsonType, encoded, etagOf(encoded)}
	case n.kind == list:
		return rendering{textType, n.lines(), etagOf(n.asJSON())}
	case n.kind != directory:
		return rendering{textType, n.text, etagOf(n.json)}
	case !q.recursive:
		return n.listing()
	case q.form == textForm:
		return n.recursive().text
	default:
		return n.recursive().json
	}
}

// listing renders a directory without what is below its entries.
func (n *node) listing() rendering {
	var out strings.Builder
	for _, child := range n.children {
		out.WriteString(child.name)
		if child.kind == directory {
			out.WriteByte('/')
		}
		out.WriteByte('\n')
	}
	return rendering{textType, out.String(), etagOf(out.String())}
}

// recursive renders everything below a directory, endpoints left out. It is done once.
// Both forms have one ETag, and it is not the listing's.
func (n *node) recursive() *document {
	if whole := n.whole.Load(); whole != nil {
		return whole
	}
	var text strings.Builder
	n.appendText(&text, "")
	encoded := n.asJSON()
	etag := etagOf("recursive\n" + encoded)
	whole := &document{
		json: rendering{jsonType, encoded, etag},
		text: rendering{textType, text.String(), etag},
	}
	n.whole.Store(whole)
	return whole
}

func (n *node) asJSON() string {
	if n.kind == leaf {
		return n.json
	}
	var out strings.Builder
	n.appendJSON(&out)
	return out.String()
}

func (n *node) appendJSON(out *strings.Builder) {
	switch n.kind {
	case leaf:
		out.WriteString(n.json)
	case list:
		n.appendItems(out)
	case directory:
		n.appendEntries(out)
	case tokenEndpoint, identityEndpoint: // not part of a document
	}
}

func (n *node) appendItems(out *strings.Builder) {
	out.WriteByte('[')
	for i, item := range n.children {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString(item.json)
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

// lines are the items of a list, each with a newline.
func (n *node) lines() string {
	var out strings.Builder
	for _, item := range n.children {
		out.WriteString(item.text + "\n")
	}
	return out.String()
}
