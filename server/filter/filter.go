// Package filter evaluates the filter expressions of lists of Google's APIs: expressions of AIP-160
// (https://google.aip.dev/160), as far as the lists of Compute Engine and Resource Manager document
// them, and the older expressions of Compute Engine with regular expressions.
//
// It evaluates them on items as encoding/json decodes them. It does not know which fields an item can
// have: a missing field is not equal to any value.
package filter

import (
	"fmt"
	"strings"
)

// Limits of expressions. They are larger than the expressions of Google's tools.
const (
	maxLength  = 8 << 10 // bytes
	maxDepth   = 50      // nested parentheses and negations
	maxPattern = 20_000  // the size of one regular expression, in nodes, with its repetitions written out
)

// Filter decides which items of a list an answer has. The zero value accepts every item.
type Filter struct{ accepts func(item any) bool }

// AcceptsAll reports whether the filter accepts every item.
func (f Filter) AcceptsAll() bool { return f.accepts == nil }

// Matches reports whether an answer has an item, which encoding/json has decoded.
func (f Filter) Matches(item any) bool { return f.accepts == nil || f.accepts(item) }

// Language holds the differences between the lists of APIs.
type Language struct {
	// Has is the meaning of the operator ":" for a string, if the argument has no asterisk. Case
	// does not count.
	Has func(value, argument string) bool
	// Patterns reports whether expressions may have the operators "eq" and "ne". Their arguments are
	// regular expressions.
	Patterns bool
}

// Compute is the language of Compute Engine
// (https://cloud.google.com/compute/docs/reference/rest/v1/instances/list).
func Compute() Language { return Language{Has: strings.Contains, Patterns: true} }

// Projects is the language of Resource Manager
// (https://cloud.google.com/resource-manager/reference/rest/v1/projects/list).
func Projects() Language {
	return Language{Has: func(value, argument string) bool { return value == argument }}
}

// Parse reads an expression. An empty expression accepts every item.
func (l Language) Parse(text string) (Filter, error) {
	if len(text) > maxLength {
		return Filter{}, fmt.Errorf("the filter has %d bytes, more than %d", len(text), maxLength)
	}
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return Filter{}, nil
	case l.Patterns && hasPatterns(text):
		accepts, err := readPatterns(text, 0)
		return Filter{accepts}, err
	}
	p := parser{language: l, text: text}
	accepts, err := p.conjunction(0)
	if err == nil && !p.atEnd() {
		err = p.misplaced()
	}
	return Filter{accepts}, err
}

// every returns the conjunction of predicates.
func every(predicates []func(any) bool) func(any) bool {
	if len(predicates) == 1 {
		return predicates[0]
	}
	return func(item any) bool {
		for _, accepts := range predicates {
			if !accepts(item) {
				return false
			}
		}
		return true
	}
}
