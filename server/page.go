package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"gcp-metadata-emulator/server/control"
	"gcp-metadata-emulator/server/page"
	"gcp-metadata-emulator/server/wire"
)

// home sends browsers from "/" to the page, if it is served at the same address.
func (s surfaces) home(otherwise wire.Handler) wire.Handler {
	if s.controlApart {
		return otherwise
	}
	return page.Home(s.control.Guard, otherwise)
}

// perform performs an operation of the control plane for the page, as a request with this method and
// path would.
func (s surfaces) perform(r *http.Request, op page.Operation) wire.Response {
	for _, plane := range []surface{s.controlPlane(), s.probes()} {
		for _, route := range plane.Routes {
			if route.Name == op.Name {
				return s.performOn(r, plane, route, op)
			}
		}
	}
	panic(fmt.Sprintf("the control plane has no operation %q", op.Name)) // the page names operations of the table only
}

// performOn performs the operation of a route.
func (s surfaces) performOn(r *http.Request, plane surface, of route, op page.Operation) wire.Response {
	handle := of.Handle
	if names, limited := of.Query.parameters(); limited {
		handle = control.Parameters(names, handle)
	}
	return plane.Dialect.Answer(s.logger, plane.Guard(handle))(operationRequest(r, of, op))
}

// operationRequest returns the request for an operation. It comes from the sender of r.
func operationRequest(r *http.Request, of route, op page.Operation) *http.Request {
	body := []byte{}
	if op.Body != nil {
		var err error
		if body, err = json.Marshal(op.Body); err != nil {
			panic(fmt.Sprintf("encode the body of %q: %v", op.Name, err)) // cannot happen: it holds texts and numbers
		}
	}
	asked := r.Clone(r.Context())
	asked.Method, asked.Header = of.Method, http.Header{"Content-Type": {"application/json"}}
	asked.Body, asked.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	asked.URL = &url.URL{Path: of.Path, RawQuery: op.Query.Encode()}
	for name, value := range op.Path {
		asked.SetPathValue(name, value)
		asked.URL.Path = strings.NewReplacer("{"+name+"}", value, "{"+name+":.+}", value).Replace(asked.URL.Path)
	}
	asked.RequestURI = asked.URL.RequestURI()
	return asked
}
