// Package page implements the web page of the emulator: a view of the control plane for people, with a
// form for each of its operations.
//
// It owns the words and the look of the page. It decides nothing: what it shows and changes, it asks of
// the operations of the control plane, by the names of their routes. It works without scripts; its one
// script loads a page again when something has happened.
package page

import (
	"net/http"
	"net/url"
	"strings"

	"gcp-metadata-emulator/server/wire"
)

// Perform performs an operation of the control plane for the sender of a request. Errors are answers too.
type Perform func(r *http.Request, op Operation) wire.Response

// Server answers with pages. It is safe for concurrent use.
type Server struct{ perform Perform }

// New returns the pages of a control plane.
func New(perform Perform) *Server { return &Server{perform} }

// Root is the path of the first page. The other pages are below it.
const Root = "/emulator/"

// section describes a page.
type section struct {
	name  string // also the name of its template
	title string
	path  string
	load  func(v *visit) any // returns the data for the template
	acts  map[string]act     // the effects of its forms, by the value of the field "do"
}

// act is the effect of a form.
type act struct {
	said string // the text of the page afterwards; empty: it shows the answer of the operation instead
	op   func(form url.Values) (Operation, error)
	keep string // the field that the page keeps
}

// sections returns all pages, in the order of the navigation.
func sections() []section {
	return []section{
		{"overview", "Overview", Root, loadOverview, nil},
		{"requests", "Requests", Root + "requests", loadRequests, requestActs()},
		{"tokens", "Tokens", Root + "tokens", loadTokens, tokenActs()},
		{"metadata", "Metadata", Root + "metadata", loadMetadata, metadataActs()},
		{"faults", "Faults and clock", Root + "faults", loadFaults, faultActs()},
		{"keys", "Keys", Root + "keys", loadKeys, keyActs()},
		{"iam", "IAM", Root + "iam", loadIAM, nil},
		{"services", "Services", Root + "services", loadServices, nil},
		{"clients", "Clients", Root + "clients", loadClients, nil},
	}
}

// Show returns the handler of the page with a name. GET shows the page, and POST does the act of a form.
func (s *Server) Show(name string) wire.Handler {
	return func(r *http.Request) (wire.Response, error) {
		for _, section := range sections() {
			if section.name == name {
				return s.show(section, r)
			}
		}
		return wire.Response{}, &wire.StatusError{Status: http.StatusNotFound}
	}
}

func (s *Server) show(of section, r *http.Request) (wire.Response, error) {
	v := &visit{request: r, perform: s.perform, Form: r.URL.Query()}
	if r.Method == http.MethodPost {
		if err := v.read(); err != nil {
			return wire.Response{}, err
		}
		if to, done := v.act(of); done {
			return seeOther(to), nil
		}
	} else if did, ok := of.acts[v.Form.Get("done")]; ok {
		v.Notice = did.said
	}
	return v.render(of)
}

// seeOther leads a browser to a page, so that loading the page again does not repeat the act of a form. If
// the act has cautions, the page answers the form itself: a browser asks before it repeats that request.
func seeOther(to string) wire.Response {
	return wire.Response{Status: http.StatusSeeOther, Header: []wire.Field{{Name: "Location", Value: to}, {Name: "Cache-Control", Value: "no-store"}}}
}

// Home sends browsers that the control plane would answer from "/" to the page. It leaves every other
// request to a handler.
func Home(guard func(wire.Handler) wire.Handler, otherwise wire.Handler) wire.Handler {
	admitted := guard(func(*http.Request) (wire.Response, error) { return seeOther(Root), nil })
	return func(r *http.Request) (wire.Response, error) {
		if !isBrowser(r) {
			return otherwise(r)
		}
		if response, err := admitted(r); err == nil {
			return response, nil
		}
		return otherwise(r)
	}
}

// isBrowser reports whether a person with a web browser has sent a request, and no client of the metadata
// server.
func isBrowser(r *http.Request) bool {
	const flavor = "Metadata-Flavor"
	return r.URL.Path == "/" && r.Method == http.MethodGet && len(r.Header.Values(flavor)) == 0 && strings.Contains(r.Header.Get("Accept"), "text/html")
}
