// Package errorpage holds the parts of answers that Google's front ends add to every server behind
// them: the header of API answers, and the HTML error pages. The metadata server and every API send
// these pages if a request does not reach a method.
package errorpage

import (
	_ "embed"
	"errors"
	"net/http"
	"strconv"
	"sync"

	"gcp-metadata-emulator/server/markup"
	"gcp-metadata-emulator/server/wire"
)

// ContentType is the content type of every page.
const ContentType = "text/html; charset=UTF-8"

//go:embed pages.html
var source string

// parsed returns the pages' templates. Most runs of the emulator never send a page.
var parsed = sync.OnceValue(func() *markup.Template { //nolint:gochecknoglobals // one copy serves every surface
	return markup.Must(markup.Parse(nil, source))
})

// FrontEnd is the header that the front ends put on every answer of an API.
func FrontEnd() []wire.Field {
	return []wire.Field{
		{Name: "Server", Value: "scaffolding on HTTPServer2"},
		{Name: "Vary", Value: "Origin"},
		{Name: "Vary", Value: "X-Origin"},
		{Name: "Vary", Value: "Referer"},
		{Name: "X-Content-Type-Options", Value: "nosniff"},
		{Name: "X-Frame-Options", Value: "SAMEORIGIN"},
		{Name: "X-XSS-Protection", Value: "0"},
	}
}

// page is the data of the templates.
type page struct {
	Status      int
	Name        string // of the status
	Method, URL string
	Reason      string
}

// Page returns the page with which the front ends send a status. A reason is text: it follows
// the words of the page about permissions, and replaces the words of every other page.
func Page(r *http.Request, status int, reason string) wire.Response {
	words := strconv.Itoa(status)
	if !parsed().Has(words) || reason != "" && status != http.StatusForbidden {
		words = "other"
	}
	body, err := parsed().Execute(words, page{
		Status: status, Name: wire.StatusText(status), Method: r.Method, URL: wire.Target(r), Reason: reason,
	})
	if err != nil {
		panic(err) // the data always fits the templates: see the test of every status
	}
	return wire.Response{Status: status, ContentType: ContentType, Body: body}
}

// Error writes the errors that every dialect must know as pages.
func Error(r *http.Request, err error) wire.Response { return Page(r, StatusOf(err), "") }

// StatusOf returns the front ends' status for a bare error of package wire.
func StatusOf(err error) int {
	if bare, ok := errors.AsType[*wire.StatusError](err); ok {
		return bare.Status
	}
	switch {
	case errors.Is(err, wire.ErrTooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, wire.ErrUnread):
		return http.StatusBadRequest
	case errors.Is(err, wire.ErrStopping):
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}
