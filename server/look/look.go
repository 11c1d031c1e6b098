// Package look holds the common look of the emulator's own web pages: one stylesheet, and the header
// fields that protect a page in a browser.
//
// It does not own the pages. Google's error pages have their own look, in package errorpage.
package look

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"sync"

	"gcp-metadata-emulator/server/wire"
)

//go:embed style.css
var style string

// Style returns the stylesheet.
func Style() string { return style }

// StyleSource returns the source expression of the stylesheet in a Content-Security-Policy, for pages with the
// stylesheet inside them (https://www.w3.org/TR/CSP3/#grammardef-hash-source).
var StyleSource = sync.OnceValue(func() string { //nolint:gochecknoglobals // the stylesheet does not change
	sum := sha256.Sum256([]byte(style))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
})

// Header returns the header fields of a page. policy has the directives of its Content-Security-Policy
// for the files that the page may load.
func Header(policy string) []wire.Field {
	return []wire.Field{
		{Name: "Content-Security-Policy", Value: policy + "; base-uri 'none'; frame-ancestors 'none'"},
		{Name: "Referrer-Policy", Value: "same-origin"},
		{Name: "X-Content-Type-Options", Value: "nosniff"},
		{Name: "X-Frame-Options", Value: "DENY"},
	}
}
