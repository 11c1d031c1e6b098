package markup

import (
	"fmt"
	"reflect"
)

// builtins are the functions of every template, as in text/template.
func builtins() map[string]any {
	return map[string]any{
		"eq":    equal,
		"ne":    func(a, b any) (bool, error) { same, err := equal(a, b); return !same, err },
		"gt":    func(a, b int) bool { return a > b },
		"not":   func(value any) bool { return !truth(reflect.ValueOf(value)) },
		"or":    either,
		"len":   func(value any) int { return reflect.ValueOf(value).Len() },
		"print": func(values ...any) string { return fmt.Sprint(values...) },
	}
}

// either returns the first value that is not empty, or the last one.
func either(first any, others ...any) any {
	for _, other := range others {
		if truth(reflect.ValueOf(first)) {
			break
		}
		first = other
	}
	return first
}

// equal compares texts, whole numbers or truths, of any types.
func equal(a, b any) (bool, error) {
	one, other := reflect.ValueOf(a), reflect.ValueOf(b)
	switch {
	case one.Kind() == reflect.String && other.Kind() == reflect.String:
		return one.String() == other.String(), nil
	case one.Kind() == reflect.Bool && other.Kind() == reflect.Bool:
		return one.Bool() == other.Bool(), nil
	case isWhole(one) && isWhole(other):
		return fmt.Sprint(whole(one)) == fmt.Sprint(whole(other)), nil
	default:
		return false, fmt.Errorf("cannot compare a %T with a %T", a, b)
	}
}

func isWhole(value reflect.Value) bool { return value.CanInt() || value.CanUint() }

func whole(value reflect.Value) any {
	if value.CanInt() {
		return value.Int()
	}
	return value.Uint()
}
