// Package wildcard matches names in which an asterisk stands for any text: those of routes,
// accounts, audiences and paths, where a fault or a look into the journal is for some of them.
package wildcard

import (
	"fmt"
	"slices"
	"strings"

	"gcp-metadata-emulator/fixtures/spelling"
)

// Match tells whether a text is what a pattern says; an empty pattern says nothing, and
// matches everything. Case counts.
func Match(pattern, text string) bool {
	if pattern == "" || pattern == text {
		return true
	}
	first, rest, more := strings.Cut(pattern, "*")
	text, ok := strings.CutPrefix(text, first)
	for ok && more {
		var part string
		part, rest, more = strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(text, part)
		}
		_, text, ok = strings.Cut(text, part)
	}
	return false
}

// Check says what is wrong with a pattern that matches none of the names of routes, with the
// nearest of them.
func Check(pattern string, routes []string) error {
	if slices.ContainsFunc(routes, func(name string) bool { return Match(pattern, name) }) {
		return nil
	}
	if strings.Contains(pattern, "*") {
		return fmt.Errorf("no route is named %q; there are: %s", pattern, strings.Join(routes, ", "))
	}
	if near, ok := spelling.Nearest(pattern, routes); ok {
		return fmt.Errorf("there is no route %q; did you mean %q?", pattern, near)
	}
	return fmt.Errorf("there is no route %q; there are: %s", pattern, strings.Join(routes, ", "))
}
