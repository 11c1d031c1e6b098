// Package wildcard matches names with patterns in which an asterisk stands for any text. Faults
// and queries of the journal use such patterns for routes, accounts, audiences and paths.
package wildcard

import (
	"fmt"
	"slices"
	"strings"

	"gcp-metadata-emulator/fixtures/spelling"
)

// Match reports whether text matches pattern. The empty pattern matches everything. Case
// counts.
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

// Check returns an error if pattern matches none of the routes. The error names the nearest
// route, or all of them.
func Check(pattern string, routes []string) error {
	if slices.ContainsFunc(routes, func(name string) bool { return Match(pattern, name) }) {
		return nil
	}
	if strings.Contains(pattern, "*") {
		return fmt.Errorf("no route matches %q; use one of: %s", pattern, strings.Join(routes, ", "))
	}
	if near, ok := spelling.Nearest(pattern, routes); ok {
		return fmt.Errorf("there is no route %q; did you mean %q?", pattern, near)
	}
	return fmt.Errorf("there is no route %q; use one of: %s", pattern, strings.Join(routes, ", "))
}
