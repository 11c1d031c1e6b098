// Package cel evaluates a part of the Common Expression Language
// (https://github.com/google/cel-spec/blob/master/doc/langdef.md): what the attribute
// mappings and conditions of workload identity pools are usually made of.
//
// There are fields, indices, literals, lists, the operators ! + == != < <= > >= in && || ?:,
// has(), size(), and of strings contains, endsWith, extract, join, lowerAscii, matches, size,
// split, startsWith and upperAscii. An expression with anything else is refused when it is
// parsed, and so is never taken for something that it does not mean.
package cel

import (
	"fmt"
	"slices"
	"strings"
)

// maxLength is the longest expression that Google's pools take, in bytes.
const maxLength = 4096

// Expression is one that has been parsed. It is safe for concurrent use.
type Expression struct {
	text     string
	evaluate evaluator
}

// evaluator is a part of an expression. Values are nil, bool, float64, string, []any and
// map[string]any, as encoding/json has them.
type evaluator func(variables map[string]any) (any, error)

// SyntaxError says what is wrong with an expression, or what is not supported in it.
type SyntaxError struct {
	Column  int // in bytes, from 1
	Message string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("%s at column %d", e.Message, e.Column) }

// Parse reads an expression over some variables. The error is a *SyntaxError.
func Parse(text string, variables ...string) (*Expression, error) {
	if len(text) > maxLength {
		return nil, &SyntaxError{Column: maxLength + 1, Message: fmt.Sprintf("the expression is longer than %d bytes", maxLength)}
	}
	tokens, err := scan(text)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens, variables: variables}
	parsed, err := p.conditional()
	if err != nil {
		return nil, err
	}
	if rest := p.peek(); rest.kind != tokenEnd {
		return nil, unexpected(rest)
	}
	return &Expression{text: text, evaluate: parsed}, nil
}

// String is the expression as it was written.
func (e *Expression) String() string { return e.text }

// Evaluate is the value of the expression: a bool, float64, string, []any, map[string]any or
// nil. The error says which field is missing or which types do not fit.
func (e *Expression) Evaluate(variables map[string]any) (any, error) { return e.evaluate(variables) }

func unexpected(t token) error {
	if t.kind == tokenEnd {
		return &SyntaxError{Column: t.column, Message: "something is missing"}
	}
	if slices.Contains([]string{"-", "*", "/", "%"}, t.text) {
		return &SyntaxError{Column: t.column, Message: fmt.Sprintf("operator %q is not supported", t.text)}
	}
	return &SyntaxError{Column: t.column, Message: fmt.Sprintf("unexpected %q", t.text)}
}

func typeError(operation string, operands ...any) error {
	types := make([]string, len(operands))
	for i, operand := range operands {
		types[i] = typeName(operand)
	}
	return fmt.Errorf("%s does not go with %s", operation, strings.Join(types, " and "))
}

func typeName(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case float64:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "a list"
	default:
		return "a map"
	}
}
