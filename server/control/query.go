package control

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gcp-metadata-emulator/fixtures/spelling"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
)

// Parameters wraps a handler. It refuses queries with unknown, empty or repeated parameters. The
// handler would ignore a mistyped or empty parameter, so that an assertion would always hold.
func Parameters(known []string, handle wire.Handler) wire.Handler {
	known = slices.Sorted(slices.Values(known))
	return func(r *http.Request) (wire.Response, error) {
		if err := checkQuery(known, r.URL.RawQuery); err != nil {
			return wire.Response{}, err
		}
		return handle(r)
	}
}

func checkQuery(known []string, query string) error {
	if query == "" {
		return nil
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return unreadableQuery(query, err)
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		switch given := values[name]; {
		case !slices.Contains(known, name):
			return unknownParameter(name, known)
		case len(given) > 1:
			return googleapi.InvalidArgument(fmt.Sprintf("%q is given %d times; give it once", name, len(given)))
		case given[0] == "":
			return googleapi.InvalidArgument(fmt.Sprintf("%q has no value; give it a value, or omit it", name))
		}
	}
	return nil
}

// unreadableQuery explains why a query cannot be parsed
// (https://url.spec.whatwg.org/#concept-urlencoded-parser). Unlike that parser, net/url refuses
// semicolons.
func unreadableQuery(query string, err error) error {
	if escape, ok := errors.AsType[url.EscapeError](err); ok {
		return googleapi.InvalidArgument(fmt.Sprintf("the query contains %q, which is not a valid escape; write a percent sign as %%25", string(escape)))
	}
	return googleapi.InvalidArgument(fmt.Sprintf("the query %q contains a semicolon; separate parameters with &, and write a semicolon as %%3B", query))
}

func unknownParameter(name string, known []string) error {
	if len(known) == 0 {
		return googleapi.InvalidArgument(fmt.Sprintf("there is no parameter %q; this operation has no parameters", name))
	}
	message := fmt.Sprintf("there is no parameter %q; use one of: %s", name, strings.Join(known, ", "))
	if near, ok := spelling.Nearest(name, known); ok {
		message = fmt.Sprintf("there is no parameter %q; did you mean %q?", name, near)
	}
	return googleapi.InvalidArgument(message)
}
