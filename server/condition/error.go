package condition

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/operators"
)

// Error is a mistake in an expression.
type Error struct {
	Line    int // from 1
	Column  int // in characters, from 1
	Message string

	// Suggestion says how to correct the mistake. It may be empty.
	Suggestion string
}

// Error returns one sentence that ends with the place.
func (e *Error) Error() string {
	if e.Line > 1 {
		return fmt.Sprintf("%s at line %d, column %d", e.Message, e.Line, e.Column)
	}
	return fmt.Sprintf("%s at column %d", e.Message, e.Column)
}

// Hint returns the suggestion.
func (e *Error) Hint() string { return e.Suggestion }

// issue is a mistake as the compiler reports it, with the text around it.
type issue struct {
	*kind

	words  string // the compiler's message without the prefix of the reading
	before string // the line of the expression up to the place
	rest   string // the expression from the place on
}

// reading translates issues of the compiler that begin with a prefix.
type reading struct {
	prefix string
	read   func(issue) Error // its column is relative to the issue's place
}

func readings() []reading {
	return []reading{
		{"Syntax error: token recognition error at: ", unreadable},
		{"Syntax error: ", unexpected},
		{"undeclared reference to ", undeclared},
		{"found no matching overload for ", mismatched},
		{"expected type ", unfit},
		{"type ", fieldless},
		{"reserved identifier: ", func(i issue) Error { return Error{Message: strconv.Quote(i.words) + " is a reserved word"} }},
		{"invalid argument to has() macro", say(`the argument of "has" must be a field, such as assertion.email`)},
		{"argument must be a simple name", say(nameNeeded)},
		{"argument is not an identifier", say(nameNeeded)},
		{"invalid timestamp argument", say("the string is not a timestamp such as 2026-11-29T08:00:00Z")},
		{"invalid duration argument", say("the string is not a duration such as 300s")},
		{"invalid matches argument", say("the string is not a regular expression")},
		{"invalid int literal", say("the number is too large")},
		{"invalid uint literal", say("the number is too large")},
		{"invalid double literal", say("the number is too large")},
		{"", func(i issue) Error { return Error{Message: firstLine(i.words)} }},
	}
}

const nameNeeded = "a name for the items is needed, such as x in list.exists(x, x == 1)"

func say(message string) func(issue) Error {
	return func(issue) Error { return Error{Message: message} }
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	first, size := utf8.DecodeRuneInString(line)
	return string(unicode.ToLower(first)) + line[size:]
}

// explain translates the first issue of an expression.
func (k *kind) explain(text string, issues *cel.Issues) *Error {
	first := slices.MinFunc(issues.Errors(), func(a, b *cel.Error) int {
		return cmp.Or(cmp.Compare(a.Location.Line(), b.Location.Line()), cmp.Compare(a.Location.Column(), b.Location.Column()))
	})
	lines := strings.SplitAfter(text, "\n")
	line := min(max(first.Location.Line(), 1), len(lines))
	characters := []rune(lines[line-1])
	column := min(max(first.Location.Column(), 0), len(characters))
	i := issue{
		kind: k, before: string(characters[:column]),
		rest: string(characters[column:]) + strings.Join(lines[line:], ""),
	}
	for _, r := range readings() {
		words, ok := strings.CutPrefix(first.Message, r.prefix)
		if !ok {
			continue
		}
		i.words = words
		e := r.read(i)
		e.Line, e.Column = line, column+1+e.Column
		return &e
	}
	return &Error{Line: line, Column: column + 1, Message: firstLine(first.Message)} // cannot happen: the last prefix is empty
}

// unreadable explains characters that do not begin a word of the language.
func unreadable(i issue) Error {
	switch {
	case strings.HasPrefix(i.rest, "= "), i.rest == "=":
		return Error{Message: `unexpected "="`, Suggestion: "compare two values with =="}
	case strings.ContainsAny(firstOf(i.rest), `"'`) && strings.Contains(i.rest, `\`):
		return Error{Message: "the string is not closed, or has an unknown escape"}
	case strings.ContainsAny(firstOf(i.rest), `"'`):
		return Error{Message: "the string is not closed"}
	}
	return Error{Message: "unexpected " + strconv.Quote(firstOf(i.rest))}
}

func firstOf(text string) string {
	_, size := utf8.DecodeRuneInString(text)
	return text[:size]
}

// unexpected explains a word in a place where it is not allowed.
func unexpected(i issue) Error {
	if strings.TrimSpace(i.rest) == "" {
		return Error{Message: "unexpected end of expression"}
	}
	return Error{Message: "unexpected " + strconv.Quote(cmp.Or(word(i.rest), firstOf(i.rest)))}
}

// word returns the name or number that a text begins with.
func word(text string) string {
	end := strings.IndexFunc(text, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if end < 0 {
		return text
	}
	return text[:end]
}

// path returns the dotted name that a text begins with.
func path(text string) string {
	name := word(text)
	for {
		rest, ok := strings.CutPrefix(text[len(name):], ".")
		next := word(rest)
		if !ok || next == "" {
			return name
		}
		name += "." + next
	}
}

// undeclared explains the name of a variable or function that does not exist. The compiler reports a
// function at its parenthesis.
func undeclared(i issue) Error {
	name, _ := quoted(i.words)
	if strings.HasPrefix(i.rest, "(") {
		return i.undeclaredFunction(name)
	}
	full := path(i.rest)
	root, _, _ := strings.Cut(full, ".")
	for _, known := range i.variables {
		if strings.HasPrefix(known, root+".") {
			return Error{Message: fmt.Sprintf("there is no attribute %q", full), Suggestion: i.hint}
		}
	}
	return Error{Message: fmt.Sprintf("unknown name %q", cmp.Or(root, name)), Suggestion: i.hint}
}

func (i issue) undeclaredFunction(name string) Error {
	e := Error{Column: i.toName(name), Message: fmt.Sprintf("there is no function %q", name), Suggestion: i.functionHint}
	var counts []int
	for _, macro := range i.env.Macros() {
		if macro.Function() == name {
			counts = append(counts, macro.ArgCount())
		}
	}
	if len(counts) > 0 {
		e.Message, e.Suggestion = fmt.Sprintf("wrong number of arguments for %q: want %s", name, either(counts)), ""
	}
	return e
}

// toName returns the offset from the parenthesis of a call to the name of the function, a negative
// number of columns.
func (i issue) toName(name string) int {
	if !strings.HasSuffix(i.before, name) {
		return 0
	}
	return -utf8.RuneCountInString(name)
}

// mismatched explains a function or operator that does not exist for its operands: the
// compiler's message is 'NAME' applied to '(TYPES)' or 'TYPE.(TYPES)'.
func mismatched(i issue) Error {
	name, rest := quoted(i.words)
	receiver, list, _ := strings.Cut(strings.Trim(strings.TrimPrefix(rest, " applied to "), "'"), "(")
	operands := typeNames(strings.TrimSuffix(list, ")"))
	if symbol, ok := operators.FindReverse(name); ok && symbol != "" {
		return Error{Message: fmt.Sprintf("operator %s is not defined for %s", symbol, strings.Join(operands, " and "))}
	}
	switch name {
	case operators.Conditional:
		return Error{Message: "operator ?: is not defined for " + strings.Join(operands, ", ")}
	case operators.Index:
		return Error{Message: fmt.Sprintf("%s cannot be indexed with %s", operands[0], operands[1])}
	}
	e := Error{Column: i.toName(name)}
	isMember := receiver != ""
	wanted := i.argumentCounts(name, isMember)
	switch {
	case len(wanted) == 0 && !isMember:
		e.Message = fmt.Sprintf("function %q is called on a value, as in value.%s(…)", name, name)
	case len(wanted) == 0:
		e.Message = fmt.Sprintf("function %q is not called on a value", name)
	case !slices.Contains(wanted, len(operands)):
		e.Message = fmt.Sprintf("wrong number of arguments for %q: got %d, want %s", name, len(operands), either(wanted))
	default:
		if isMember {
			operands = append(typeNames(strings.TrimSuffix(receiver, ".")), operands...)
		}
		e.Message = fmt.Sprintf("function %q is not defined for %s", name, strings.Join(operands, " and "))
	}
	return e
}

// argumentCounts returns the numbers of arguments that a function takes, in order.
func (i issue) argumentCounts(name string, isMember bool) []int {
	function, ok := i.env.Functions()[name]
	if !ok {
		return nil
	}
	var counts []int
	for _, overload := range function.OverloadDecls() {
		switch {
		case overload.IsMemberFunction() != isMember:
		case isMember:
			counts = append(counts, len(overload.ArgTypes())-1)
		default:
			counts = append(counts, len(overload.ArgTypes()))
		}
	}
	slices.Sort(counts)
	return slices.Compact(counts)
}

func either(counts []int) string {
	words := make([]string, len(counts))
	for i, count := range counts {
		words[i] = strconv.Itoa(count)
	}
	return strings.Join(words, " or ")
}

// unfit explains a value of the wrong type: the compiler's message is 'TYPE' but found 'TYPE'.
func unfit(i issue) Error {
	want, rest := quoted(i.words)
	got, _ := quoted(strings.TrimPrefix(rest, " but found "))
	return Error{Message: fmt.Sprintf("want %s, got %s", typeName(want), typeName(got))}
}

// fieldless explains an error: the expression selects a field of a value without fields.
func fieldless(i issue) Error {
	name, _ := quoted(i.words)
	return Error{Message: typeName(name) + " has no fields"}
}

// quoted returns the text between the single quotes that words begin with, and the rest.
func quoted(words string) (text, rest string) {
	text, rest, _ = strings.Cut(strings.TrimPrefix(words, "'"), "'")
	return text, rest
}

// typeNames names the types of a list.
func typeNames(list string) []string {
	var names []string
	depth, start := 0, 0
	for at, r := range list + "," {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if name := strings.TrimSpace(list[start:min(at, len(list))]); depth == 0 && name != "" {
				names = append(names, typeName(name))
			}
			if depth == 0 {
				start = min(at+1, len(list))
			}
		}
	}
	return names
}

// typeName names a type of the language.
func typeName(name string) string {
	base, _, _ := strings.Cut(name, "(")
	switch base {
	case "int", "uint", "double":
		return "a number"
	case "string":
		return "a string"
	case "bool":
		return "a boolean"
	case "bytes":
		return "bytes"
	case "list":
		return "a list"
	case "map":
		return "a map"
	case "timestamp", "google.protobuf.Timestamp":
		return "a timestamp"
	case "duration", "google.protobuf.Duration":
		return "a duration"
	case "null", "null_type":
		return "null"
	case "type":
		return "a type"
	}
	return "a value"
}
