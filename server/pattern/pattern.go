// Package pattern matches names in which an asterisk stands for any text: those of routes,
// accounts, audiences and paths, where a fault or a look into the journal is for some of them.
package pattern

import "strings"

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
