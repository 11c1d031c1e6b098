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

// Parameters lets a handler answer requests whose query has known parameters alone, each of them
// once and with a value: a parameter that is mistyped or left empty would make an assertion that
// is always met.
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
			return googleapi.InvalidArgument(fmt.Sprintf("%q is there %d times; give it one value", name, len(given)))
		case given[0] == "":
			return googleapi.InvalidArgument(fmt.Sprintf("%q has no value; give it one, or leave it out", name))
		}
	}
	return nil
}

// unreadableQuery says what a query has that none can have
// (https://url.spec.whatwg.org/#concept-urlencoded-parser, of which net/url takes no semicolon).
func unreadableQuery(query string, err error) error {
	if escape, ok := errors.AsType[url.EscapeError](err); ok {
		return googleapi.InvalidArgument(fmt.Sprintf("the query has %q, which is no escape of a character; a percent sign is %%25", string(escape)))
	}
	return googleapi.InvalidArgument(fmt.Sprintf("the query %q has a semicolon; parameters are separated by &, and a semicolon is %%3B", query))
}

func unknownParameter(name string, known []string) error {
	if len(known) == 0 {
		return googleapi.InvalidArgument(fmt.Sprintf("there is no parameter %q, and no other here", name))
	}
	message := fmt.Sprintf("there is no parameter %q; there are: %s", name, strings.Join(known, ", "))
	if near, ok := spelling.Nearest(name, known); ok {
		message = fmt.Sprintf("there is no parameter %q; did you mean %q?", name, near)
	}
	return googleapi.InvalidArgument(message)
}
