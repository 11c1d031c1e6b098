package filter

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// hasPatterns reports whether a filter begins with a comparison by "eq" or "ne".
func hasPatterns(text string) bool {
	words := strings.Fields(strings.TrimLeft(text, "( \t\r\n"))
	return len(words) > 1 && isPatternOperator(words[1])
}

func isPatternOperator(word string) bool { return word == "eq" || word == "ne" }

// readPatterns reads one comparison, or comparisons in parentheses, which all must hold. gcloud also
// puts several comparisons into further parentheses.
func readPatterns(text string, depth int) (func(any) bool, error) {
	if depth > maxDepth {
		return nil, errTooDeep
	}
	if !strings.HasPrefix(text, "(") {
		return readPattern(text)
	}
	var all []func(any) bool
	for text != "" {
		inner, rest, ok := cutParentheses(text)
		if !ok {
			return nil, errors.New(`comparisons with "eq" and "ne" need parentheses of their own, and other operators cannot stand beside them`)
		}
		accepts, err := readPatterns(strings.TrimSpace(inner), depth+1)
		if err != nil {
			return nil, err
		}
		all, text = append(all, accepts), strings.TrimSpace(rest)
	}
	return every(all), nil
}

// cutParentheses returns the text between the parenthesis at the beginning of a text and its
// counterpart, and the text behind it. Parentheses in quotes or after a backslash do not count.
func cutParentheses(text string) (inner, rest string, ok bool) {
	if !strings.HasPrefix(text, "(") {
		return "", "", false
	}
	open, quote := 0, byte(0)
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			i++
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
		case (c == '"' || c == '\'') && isSpace(text[i-1]): // text begins with a parenthesis
			quote = c
		case c == '(':
			open++
		case c == ')':
			if open--; open == 0 {
				return text[1:i], text[i+1:], true
			}
		}
	}
	return "", "", false
}

// readPattern reads one comparison. Its argument must match the whole value.
func readPattern(text string) (func(any) bool, error) {
	name, rest, _ := strings.Cut(text, " ")
	operator, literal, _ := strings.Cut(strings.TrimSpace(rest), " ")
	if !isPatternOperator(operator) {
		return nil, fmt.Errorf(`"eq" or "ne" is missing after %s`, excerpt(name))
	}
	literal, err := unquoted(strings.TrimSpace(literal))
	if err != nil {
		return nil, err
	}
	pattern, err := compile(literal)
	if err != nil {
		return nil, err
	}
	path := strings.Split(name, ".")
	return func(item any) bool {
		found := slices.ContainsFunc(valuesOf(item, path), func(value any) bool {
			_, isObject := value.(map[string]any)
			return !isObject && pattern.MatchString(textOf(value))
		})
		return found == (operator == "eq")
	}, nil
}

// unquoted removes the quotes around a literal. Backslashes belong to the regular expression.
func unquoted(literal string) (string, error) {
	if literal == "" {
		return "", errors.New("the filter ends too early")
	}
	quote := literal[0]
	if quote != '"' && quote != '\'' {
		return literal, nil
	}
	if len(literal) < 2 || literal[len(literal)-1] != quote {
		return "", errors.New("a closing quote is missing")
	}
	return literal[1 : len(literal)-1], nil
}

// compile compiles a regular expression in RE2's syntax. If the result would be very large, it
// refuses the expression, because a short text can repeat itself many times.
func compile(literal string) (*regexp.Regexp, error) {
	tree, err := syntax.Parse(literal, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("%s is not a regular expression of RE2: %s", excerpt(literal), reason(err))
	}
	if size(tree) > maxPattern {
		return nil, fmt.Errorf("the regular expression %s is too large", excerpt(literal))
	}
	return regexp.Compile(`^(?:` + literal + `)$`)
}

// size returns the number of nodes of an expression with its repetitions written out.
func size(tree *syntax.Regexp) int {
	nodes := 1 + len(tree.Rune)
	for _, below := range tree.Sub {
		nodes += size(below)
	}
	if tree.Op == syntax.OpRepeat {
		nodes *= max(tree.Min, tree.Max, 1)
	}
	return nodes
}

// reason returns the mistake in a regular expression, without the expression.
func reason(err error) string {
	if mistake, ok := errors.AsType[*syntax.Error](err); ok {
		return mistake.Code.String()
	}
	return err.Error()
}
