package cel

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// operation makes one evaluator of two.
type operation func(left, right evaluator) evaluator

func constant(value any) evaluator {
	return func(map[string]any) (any, error) { return value, nil }
}

// strict is an operation on values that are both needed.
func strict(apply func(left, right any) (any, error)) operation {
	return func(left, right evaluator) evaluator {
		return call(func(values []any) (any, error) { return apply(values[0], values[1]) }, []evaluator{left, right})
	}
}

// call applies a function to the values of its arguments.
func call(apply func(values []any) (any, error), arguments []evaluator) evaluator {
	return func(variables map[string]any) (any, error) {
		values := make([]any, len(arguments))
		for i, argument := range arguments {
			value, err := argument(variables)
			if err != nil {
				return nil, err
			}
			values[i] = value
		}
		return apply(values)
	}
}

func listOf(items []evaluator) evaluator {
	return call(func(values []any) (any, error) { return values, nil }, items)
}

// either is true where one side is, even if the other cannot be evaluated.
func either(left, right evaluator) evaluator {
	return func(variables map[string]any) (any, error) {
		first, firstErr := boolean(left, variables)
		if first {
			return true, nil
		}
		second, secondErr := boolean(right, variables)
		if second {
			return true, nil
		}
		if err := errors.Join(firstErr, secondErr); err != nil {
			return nil, err
		}
		return false, nil
	}
}

// both is false where one side is, even if the other cannot be evaluated.
func both(left, right evaluator) evaluator { return not(either(not(left), not(right))) }

func boolean(of evaluator, variables map[string]any) (bool, error) {
	value, err := of(variables)
	if err != nil {
		return false, err
	}
	truth, ok := value.(bool)
	if !ok {
		return false, typeError("a logical operator", value)
	}
	return truth, nil
}

func not(operand evaluator) evaluator {
	return func(variables map[string]any) (any, error) {
		truth, err := boolean(operand, variables)
		if err != nil {
			return nil, err
		}
		return !truth, nil
	}
}

func choice(condition, yes, no evaluator) evaluator {
	return func(variables map[string]any) (any, error) {
		truth, err := boolean(condition, variables)
		switch {
		case err != nil:
			return nil, err
		case truth:
			return yes(variables)
		default:
			return no(variables)
		}
	}
}

// missingFieldError says that a map has no such key.
type missingFieldError struct{ name string }

func (e *missingFieldError) Error() string { return fmt.Sprintf("there is no %q", e.name) }

func field(value evaluator, name string) evaluator { return strict(at)(value, constant(name)) }

// has tells whether the last field of a selection is there.
func has(selection evaluator) evaluator {
	return func(variables map[string]any) (any, error) {
		_, err := selection(variables)
		if _, missing := errors.AsType[*missingFieldError](err); missing {
			return false, nil
		}
		return err == nil, err
	}
}

// at is the value of a key in a map, or at an index of a list.
func at(value, index any) (any, error) {
	switch value := value.(type) {
	case map[string]any:
		if name, ok := index.(string); ok {
			found, ok := value[name]
			if !ok {
				return nil, &missingFieldError{name}
			}
			return found, nil
		}
	case []any:
		if number, ok := index.(float64); ok {
			if i := int(number); float64(i) == number && i >= 0 && i < len(value) {
				return value[i], nil
			}
			return nil, fmt.Errorf("there is no item %v in a list of %d", number, len(value))
		}
	}
	return nil, typeError("a selection", value, index)
}

func add(left, right any) (any, error) {
	switch left := left.(type) {
	case string:
		if right, ok := right.(string); ok {
			return left + right, nil
		}
	case float64:
		if right, ok := right.(float64); ok {
			return left + right, nil
		}
	case []any:
		if right, ok := right.([]any); ok {
			return slices.Concat(left, right), nil
		}
	}
	return nil, typeError("+", left, right)
}

func relation(operator string) operation {
	switch operator {
	case "==":
		return strict(func(left, right any) (any, error) { return equal(left, right), nil })
	case "!=":
		return strict(func(left, right any) (any, error) { return !equal(left, right), nil })
	case "in":
		return strict(contained)
	default:
		return strict(func(left, right any) (any, error) { return ordered(operator, left, right) })
	}
}

func equal(left, right any) bool { return reflect.DeepEqual(left, right) }

func contained(item, within any) (any, error) {
	switch within := within.(type) {
	case []any:
		return slices.ContainsFunc(within, func(other any) bool { return equal(item, other) }), nil
	case map[string]any:
		name, isText := item.(string)
		_, found := within[name]
		return found && isText, nil
	default:
		return nil, typeError("in", item, within)
	}
}

func ordered(operator string, left, right any) (any, error) {
	order, ok := compare(left, right)
	if !ok {
		return nil, typeError(operator, left, right)
	}
	switch operator {
	case "<":
		return order < 0, nil
	case "<=":
		return order <= 0, nil
	case ">":
		return order > 0, nil
	default:
		return order >= 0, nil
	}
}

// compare orders two strings or two numbers.
func compare(left, right any) (order int, ok bool) {
	if first, isText := left.(string); isText {
		second, also := right.(string)
		return cmp.Compare(first, second), also
	}
	first, isNumber := left.(float64)
	second, also := right.(float64)
	return cmp.Compare(first, second), isNumber && also
}

// method is a function of a value: what it is asked of is the first of the values.
type method struct {
	fewest, most int // arguments besides that value
	apply        func(values []any) (any, error)
}

func methods() map[string]method {
	return map[string]method{
		"contains":   {1, 1, textual(func(text, part string) (any, error) { return strings.Contains(text, part), nil })},
		"endsWith":   {1, 1, textual(func(text, part string) (any, error) { return strings.HasSuffix(text, part), nil })},
		"startsWith": {1, 1, textual(func(text, part string) (any, error) { return strings.HasPrefix(text, part), nil })},
		"matches":    {1, 1, textual(matches)},
		"extract":    {1, 1, textual(extract)},
		"split":      {1, 1, textual(split)},
		"lowerAscii": {0, 0, cased(func(c byte) bool { return c >= 'A' && c <= 'Z' })},
		"upperAscii": {0, 0, cased(func(c byte) bool { return c >= 'a' && c <= 'z' })},
		"size":       {0, 0, size},
		"join":       {0, 1, join},
	}
}

// textual is a function of two strings.
func textual(apply func(text, argument string) (any, error)) func([]any) (any, error) {
	return func(values []any) (any, error) {
		text, ok := values[0].(string)
		argument, also := values[1].(string)
		if !ok || !also {
			return nil, typeError("a function of strings", values...)
		}
		return apply(text, argument)
	}
}

// cased changes the case of the ASCII letters of one case.
func cased(changes func(byte) bool) func([]any) (any, error) {
	return func(values []any) (any, error) {
		text, ok := values[0].(string)
		if !ok {
			return nil, typeError("a function of strings", values...)
		}
		letters := []byte(text)
		for i, c := range letters {
			if changes(c) {
				letters[i] = c ^ 0x20
			}
		}
		return string(letters), nil
	}
}

func matches(text, pattern string) (any, error) {
	compiled, err := regexp.Compile(pattern) // RE2, as in the language
	if err != nil {
		return nil, fmt.Errorf("%q is no regular expression", pattern)
	}
	return compiled.MatchString(text), nil
}

// extract is the part of a text for which a template has a name in braces, or nothing where
// the template does not fit
// (https://cloud.google.com/iam/docs/conditions-attribute-reference#extract).
func extract(text, template string) (any, error) {
	before, rest, opened := strings.Cut(template, "{")
	_, after, closed := strings.Cut(rest, "}")
	if !opened || !closed {
		return nil, fmt.Errorf("template %q has no name in braces", template)
	}
	_, found, ok := strings.Cut(text, before)
	if !ok {
		return "", nil
	}
	if after == "" {
		return found, nil
	}
	part, _, ok := strings.Cut(found, after)
	if !ok {
		return "", nil
	}
	return part, nil
}

func split(text, separator string) (any, error) {
	parts := strings.Split(text, separator)
	values := make([]any, len(parts))
	for i, part := range parts {
		values[i] = part
	}
	return values, nil
}

func join(values []any) (any, error) {
	list, ok := values[0].([]any)
	separator := ""
	if len(values) > 1 {
		text, isText := values[1].(string)
		separator, ok = text, ok && isText
	}
	if !ok {
		return nil, typeError("join", values...)
	}
	parts := make([]string, len(list))
	for i, item := range list {
		part, ok := item.(string)
		if !ok {
			return nil, typeError("join", item)
		}
		parts[i] = part
	}
	return strings.Join(parts, separator), nil
}

func size(values []any) (any, error) {
	switch value := values[0].(type) {
	case string:
		return float64(utf8.RuneCountInString(value)), nil
	case []any:
		return float64(len(value)), nil
	case map[string]any:
		return float64(len(value)), nil
	default:
		return nil, typeError("size", value)
	}
}
