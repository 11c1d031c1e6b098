package filter

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"gcp-metadata-emulator/server/wildcard"
)

// valuesOf returns the values of a field of an item: several if the path leads through a list.
func valuesOf(item any, path []string) []any {
	switch item := item.(type) {
	case []any:
		var values []any
		for _, element := range item {
			values = append(values, valuesOf(element, path)...)
		}
		return values
	case nil:
		return nil
	case map[string]any:
		if len(path) > 0 {
			return valuesOf(item[path[0]], path[1:])
		}
	}
	if len(path) > 0 {
		return nil
	}
	return []any{item}
}

// comparison is an operator and its right side.
type comparison struct {
	language Language
	operator string
	argument string
}

// holds reports whether one of the values of a field fits, or for != whether no value is equal.
func (c comparison) holds(values []any) bool {
	if c.operator == "!=" {
		return !slices.ContainsFunc(values, c.equals)
	}
	return slices.ContainsFunc(values, func(value any) bool {
		switch c.operator {
		case "=":
			return c.equals(value)
		case ":":
			return c.has(value)
		default:
			return c.isOrdered(order(textOf(value), c.argument))
		}
	})
}

// equals reports whether a value is the argument, in which an asterisk stands for any text.
func (c comparison) equals(value any) bool {
	if _, isObject := value.(map[string]any); isObject {
		return false
	}
	text := textOf(value)
	return text == c.argument || c.argument != "" && wildcard.Match(c.argument, text)
}

// has reports whether a value exists, if the argument is an asterisk, and otherwise whether an object
// has the key or a string the text of the argument.
func (c comparison) has(value any) bool {
	if c.argument == "*" {
		return true
	}
	switch value := value.(type) {
	case map[string]any:
		_, found := value[c.argument]
		return found
	case string:
		text, argument := strings.ToLower(value), strings.ToLower(c.argument)
		if strings.Contains(argument, "*") {
			return wildcard.Match(argument, text)
		}
		return c.language.Has(text, argument)
	default:
		return c.equals(value)
	}
}

func (c comparison) isOrdered(order int) bool {
	switch c.operator {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	default:
		return order >= 0
	}
}

// order compares two texts as times or as numbers if both are, and otherwise as texts.
func order(a, b string) int {
	if one, err := time.Parse(time.RFC3339, a); err == nil {
		if other, err := time.Parse(time.RFC3339, b); err == nil {
			return one.Compare(other)
		}
	}
	if one, ok := numberOf(a); ok {
		if other, ok := numberOf(b); ok {
			return one.Cmp(other)
		}
	}
	return strings.Compare(a, b)
}

// numberOf reads a number. IDs have more digits than a float64.
func numberOf(text string) (*big.Rat, bool) {
	const longest = 40
	if len(text) > longest || strings.ContainsAny(text, "eExXpP/_") {
		return nil, false
	}
	return new(big.Rat).SetString(text)
}

// textOf returns a scalar as a filter writes it, and nothing for an object.
func textOf(value any) string {
	switch value := value.(type) {
	case string:
		return value
	case bool:
		return strconv.FormatBool(value)
	case json.Number:
		return value.String()
	case float64:
		return fmt.Sprint(value)
	default:
		return ""
	}
}
