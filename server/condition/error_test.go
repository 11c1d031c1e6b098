package condition_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/condition"
)

func TestMappingRefuses(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		``:                                       `unexpected end of expression at column 1`,
		`assertion.`:                             `unexpected end of expression at column 11`,
		`assertion.sub +`:                        `unexpected end of expression at column 16`,
		`(assertion.sub`:                         `unexpected end of expression at column 15`,
		`assertion.sub assertion`:                `unexpected "assertion" at column 15`,
		`assertion.sub)`:                         `unexpected ")" at column 14`,
		`claims.sub`:                             `unknown name "claims" at column 1`,
		`google.subject`:                         `unknown name "google" at column 1`,
		`assertion.sub.shout("a")`:               `there is no function "shout" at column 15`,
		`shout(assertion.sub)`:                   `there is no function "shout" at column 1`,
		`assertion.sub.split()`:                  `wrong number of arguments for "split": got 0, want 1 or 2 at column 15`,
		`assertion.sub.startsWith()`:             `wrong number of arguments for "startsWith": got 0, want 1 at column 15`,
		`assertion.groups.exists(g)`:             `wrong number of arguments for "exists": want 2 at column 18`,
		`assertion.groups.map(1, g)`:             `a name for the items is needed, such as x in list.exists(x, x == 1) at column 22`,
		`split("a", "b")`:                        `function "split" is called on a value, as in value.split(…) at column 1`,
		`"a".timestamp()`:                        `function "timestamp" is not called on a value at column 5`,
		`"a".startsWith(1)`:                      `function "startsWith" is not defined for a string and a number at column 5`,
		`1 + "a"`:                                `operator + is not defined for a number and a string at column 3`,
		`-"a"`:                                   `operator - is not defined for a string at column 1`,
		`"a" in "abc" ? "x" : "y"`:               `operator in is not defined for a string and a string at column 5`,
		`true ? 1 : "a"`:                         `operator ?: is not defined for a boolean, a number, a string at column 6`,
		`["a"]["b"]`:                             `a list cannot be indexed with a string at column 6`,
		`"a".b`:                                  `a string has no fields at column 4`,
		`true && "a" ? "x" : "y"`:                `want a boolean, got a string at column 9`,
		`assertion.sub = "x"`:                    `unexpected "=" at column 15`,
		`"open`:                                  `the string is not closed at column 1`,
		`'open`:                                  `the string is not closed at column 1`,
		`"\q"`:                                   `the string is not closed, or has an unknown escape at column 1`,
		`assertion.sub # note`:                   `unexpected "#" at column 15`,
		`"é" + "x" + $`:                          `unexpected "$" at column 13`,
		"assertion.sub +\n  claims.sub":          `unknown name "claims" at line 2, column 3`,
		`has(assertion)`:                         `the argument of "has" must be a field, such as assertion.email at column 5`,
		`if`:                                     `"if" is a reserved word at column 1`,
		`string(99999999999999999999)`:           `the number is too large at column 8`,
		`assertion.sub.matches("(") ? "x" : "y"`: `the string is not a regular expression at column 23`,
		`string(timestamp("yesterday"))`:         `the string is not a timestamp such as 2026-11-29T08:00:00Z at column 18`,
		`string(duration("long"))`:               `the string is not a duration such as 300s at column 17`,
		`assertion.sub.extract("x")`:             `the template "x" has no name in braces at column 23`,
		`assertion.sub == "x"`:                   `the expression is a boolean, and must be a string at column 1`,
		`{"a": 1}`:                               `the expression is a map, and must be a string at column 1`,
		`1.5`:                                    `the expression is a number, and must be a string at column 1`,
		`["a"]`:                                  `the expression is a list, and must be a string at column 1`,
		"\xff":                                   `the expression is not UTF-8 at column 1`,
		`"` + strings.Repeat("é", 2047):          `the string is not closed at column 1`,
		`"` + strings.Repeat("é", 2047) + `"`:    `the expression has 2049 characters, and may have 2048 at column 2049`,
	} {
		_, err := condition.NewMapping("google.subject", expression)
		compare(t, expression, err, want)
	}
	for expression, want := range map[string]string{
		`assertion.sub + ""`: `the expression is a string, and must be a list of strings at column 1`,
		`[1, 2]`:             `the expression is a list whose items are not strings at column 1`,
	} {
		_, err := condition.NewMapping("google.groups", expression)
		compare(t, expression, err, want)
	}
}

func TestBindingRefuses(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		`request.tim < timestamp("2026-01-01T00:00:00Z")`:     `there is no attribute "request.tim" at column 1`,
		`true && resource.tags.env == "prod"`:                 `there is no attribute "resource.tags.env" at column 9`,
		`resource["name"] == "x"`:                             `there is no attribute "resource" at column 1`,
		`principal.type == "x"`:                               `unknown name "principal" at column 1`,
		`assertion.sub == "x"`:                                `unknown name "assertion" at column 1`,
		`request.time < "2026-01-01"`:                         `operator < is not defined for a timestamp and a string at column 14`,
		`resource.name.split("/")[1] == "x"`:                  `there is no function "split" at column 15`,
		`resource.name.startsWith()`:                          `wrong number of arguments for "startsWith": got 0, want 1 at column 15`,
		`api.getAttribute("x") == ""`:                         `wrong number of arguments for "api.getAttribute": got 1, want 2 at column 1`,
		`resource.matchTags("a", "b")`:                        `there is no attribute "resource.matchTags" at column 1`,
		`resource.name`:                                       `the expression is a string, and must be a boolean at column 1`,
		`request.time`:                                        `the expression is a timestamp, and must be a boolean at column 1`,
		`true` + strings.Repeat(" && !false", 6) + ` && true`: `the expression has 13 logical operators, and may have 12 at column 1`,
	} {
		_, err := condition.NewBinding(expression)
		compare(t, expression, err, want)
	}
	if _, err := condition.NewBinding(`[1].all(x, x == 1)` + strings.Repeat(" && !false", 6)); err != nil {
		t.Errorf("12 logical operators beside a macro: %v", err)
	}
	_, err := condition.NewAttributes(`assertion.sub + "x"`)
	compare(t, "condition", err, `the expression is a string, and must be a boolean at column 1`)
	_, err = condition.NewAttributes(`attribute.n == 1`)
	compare(t, "condition", err, `operator == is not defined for a string and a number at column 13`)
	_, err = condition.NewAttributes(`"` + strings.Repeat("x", 4095) + `" == ""`)
	compare(t, "condition", err, `the expression has 4103 characters, and may have 4096 at column 4097`)
}

func compare(t *testing.T, expression string, err error, want string) {
	t.Helper()
	if got := fmt.Sprint(err); got != want {
		t.Errorf("%.40s: %s, want %s", expression, got, want)
	}
	if mistake, ok := errors.AsType[*condition.Error](err); err != nil && (!ok || mistake.Line < 1 || mistake.Column < 1) {
		t.Errorf("%.40s: %#v says no place", expression, err)
	}
}

// Every text compiles to an expression that can be evaluated, or to an error in one line with the
// place of the mistake.
func FuzzExpression(f *testing.F) {
	for _, seed := range []string{
		"", "assertion.", `"\q"`, "a ? b", "((((", "[1].map(x, [x].map(y, y))", "assertion.sub.extract('{x}')", `has(a.b) || "é" in $`,
		"request.time < timestamp('2026')", "assertion.groups.exists(g)", "{'a': 1}.a", "1 in [1].map(", "\x00\xff", "a.\n.b", "resource.x(",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		binding, bindingErr := condition.NewBinding(text)
		if bindingErr == nil {
			binding.Holds(condition.Request{})
		}
		mapping, mappingErr := condition.NewMapping("google.groups", text)
		if mappingErr == nil {
			mapping.Value(map[string]any{"sub": "x"})
		}
		attributes, attributesErr := condition.NewAttributes(text)
		if attributesErr == nil {
			attributes.Accepts(condition.Principal{})
		}
		for _, err := range []error{bindingErr, mappingErr, attributesErr} {
			mistake, ok := errors.AsType[*condition.Error](err)
			switch {
			case err == nil:
			case !ok, mistake.Line < 1, mistake.Column < 1:
				t.Errorf("%q: %#v says no place", text, err)
			case strings.Contains(mistake.Message, "\n"):
				t.Errorf("%q: the message has several lines: %q", text, mistake.Message)
			}
		}
	})
}
