package cel_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/cel"
)

const claims = `{
	"sub": "repo:octo/app:ref:refs/heads/main", "email": "a@b.example", "email_verified": true, "n": 7, "nothing": null,
	"groups": ["dev", "ops"], "nested": {"a": {"b": "deep"}}, "a-b": "dashed",
	"arn": "arn:aws:sts::123:assumed-role/admin/session"
}`

func variables(t testing.TB) map[string]any {
	t.Helper()
	var assertion map[string]any
	if err := json.Unmarshal([]byte(claims), &assertion); err != nil {
		t.Fatal(err)
	}
	return map[string]any{"assertion": assertion}
}

func TestEvaluate(t *testing.T) {
	t.Parallel()
	tests := []struct {
		expression string
		want       any
	}{
		{`assertion.sub`, "repo:octo/app:ref:refs/heads/main"},
		{`assertion['sub']`, "repo:octo/app:ref:refs/heads/main"},
		{`assertion["a-b"]`, "dashed"},
		{`assertion.nested.a.b`, "deep"},
		{`assertion.nested["a"].b`, "deep"},
		{`"user:" + assertion.email`, "user:a@b.example"},
		{`'it\'s ' + "a \"q\" \u00e9" + r"\d"`, `it's a "q" é\d`},
		{`"a\'b" + 'c\"d'`, `a'bc"d`},
		{`assertion.groups`, []any{"dev", "ops"}},
		{`assertion.groups + ["x"]`, []any{"dev", "ops", "x"}},
		{`assertion.groups[1]`, "ops"},
		{`assertion.sub.split(":")[1]`, "octo/app"},
		{`assertion.groups.join(",")`, "dev,ops"},
		{`assertion.groups.join()`, "devops"},
		{`"AbC".lowerAscii() + "AbC".upperAscii()`, "abcABC"},
		{`assertion.arn.contains('assumed-role') ? assertion.arn.extract('{account_arn}assumed-role/') + 'assumed-role/' + assertion.arn.extract('assumed-role/{role_name}/') : assertion.arn`, "arn:aws:sts::123:assumed-role/admin"},
		{`assertion.sub.extract("refs/heads/{branch}")`, "main"},
		{`assertion.sub.extract("tags/{tag}")`, ""},
		{`assertion.sub == "repo:octo/app:ref:refs/heads/main"`, true},
		{`assertion.n == 7 && assertion.n < 8 && assertion.n >= 7.0 && assertion.n > -1 && !(assertion.n <= 6)`, true},
		{`"a" < "b"`, true},
		{`assertion.n == "7"`, false},
		{`assertion.n + 1 != 8`, false},
		{`assertion.nothing == null`, true},
		{`"dev" in assertion.groups`, true},
		{`"x" in assertion.groups || assertion.email.endsWith("@b.example")`, true},
		{`"sub" in assertion`, true},
		{`assertion.sub.startsWith("repo:octo/")`, true},
		{`assertion.sub.matches("^repo:[a-z]+/app:")`, true},
		{`has(assertion.email) && !has(assertion.missing) && !has(assertion.nested.x)`, true},
		{`size(assertion.groups) == 2 && "é".size() == 1 && assertion.nested.size() == 1`, true},
		{`assertion.email_verified`, true},
		{`true || assertion.missing`, true},
		{`assertion.missing || true`, true},
		{`assertion.missing && false`, false},
		{`false ? 1 : true ? 2 : 3`, 2.0},
		{`1 + 2 == 3`, true},
	}
	for _, test := range tests {
		t.Run(test.expression, func(t *testing.T) {
			t.Parallel()
			parsed, err := cel.Parse(test.expression, "assertion")
			if err != nil {
				t.Fatal(err)
			}
			got, err := parsed.Evaluate(variables(t))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if parsed.String() != test.expression {
				t.Errorf("String = %q", parsed)
			}
		})
	}
}

func TestEvaluateRefuses(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		`assertion.missing`:                            `there is no "missing"`,
		`assertion.nested.a.b.c`:                       `a selection does not go with a string and a string`,
		`assertion.groups[2]`:                          `there is no item 2 in a list of 2`,
		`assertion.groups[0.5]`:                        `there is no item 0.5 in a list of 2`,
		`assertion.n + "1"`:                            `+ does not go with a number and a string`,
		`assertion.sub && true`:                        `a logical operator does not go with a string`,
		`!assertion.n`:                                 `a logical operator does not go with a number`,
		`assertion.sub ? 1 : 2`:                        `a logical operator does not go with a string`,
		`assertion.sub < 1`:                            `< does not go with a string and a number`,
		`assertion.n < "1"`:                            `< does not go with a number and a string`,
		`null < null`:                                  `< does not go with null and null`,
		`"a" in "abc"`:                                 `in does not go with a string and a string`,
		`assertion.n.startsWith("7")`:                  `a function of strings does not go with a number and a string`,
		`assertion.n.lowerAscii()`:                     `a function of strings does not go with a number`,
		`assertion.sub.matches("(")`:                   `"(" is no regular expression`,
		`assertion.sub.extract("x")`:                   `template "x" has no name in braces`,
		`[1].join(",")`:                                `join does not go with a number`,
		`"a".join(",")`:                                `join does not go with a string and a string`,
		`size(true)`:                                   `size does not go with a boolean`,
		`has(assertion.sub.x)`:                         `a selection does not go with a string and a string`,
		`assertion.missing || false`:                   `there is no "missing"`,
		`assertion == 1 ? assertion.x : 1 + assertion`: `+ does not go with a number and a map`,
	} {
		parsed, err := cel.Parse(expression, "assertion")
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		if value, err := parsed.Evaluate(variables(t)); err == nil || err.Error() != want {
			t.Errorf("%s = %v, %v; want error %q", expression, value, err, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		``:                                     `something is missing at column 1`,
		`assertion.`:                           `something is missing at column 11`,
		`assertion.sub assertion`:              `unexpected "assertion" at column 15`,
		`claims.sub`:                           `"claims" is not known here, only assertion at column 1`,
		`assertion.groups.exists(g, g == "x")`: `"g" is not known here, only assertion at column 25`,
		`assertion.sub.replace("a", "b")`:      `function "replace" is not supported at column 15`,
		`assertion.sub.split()`:                `function "split" has another number of arguments at column 15`,
		`string(assertion.n)`:                  `function "string" is not supported at column 1`,
		`assertion.n - 1`:                      `operator "-" is not supported at column 13`,
		`assertion.n * 2`:                      `operator "*" is not supported at column 13`,
		`{"a": 1}`:                             `unexpected "{" at column 1`,
		`assertion.sub = "x"`:                  `unexpected '=' at column 15`,
		`"open`:                                `the string has no end at column 1`,
		`"open\"`:                              `the string has no end at column 1`,
		`"""x"""`:                              `strings in triple quotes are not supported at column 1`,
		`"\q"`:                                 `the string has an escape that is not supported at column 1`,
		`"\xff"`:                               `the string has an escape that is not supported at column 1`,
		`1u`:                                   `number "1u" is not supported at column 1`,
		`0x1F`:                                 `number "0x1F" is not supported at column 1`,
		`(assertion.sub`:                       `something is missing at column 15`,
		`[1, 2`:                                `something is missing at column 6`,
		`true ? 1`:                             `something is missing at column 9`,
		`-assertion.n`:                         `operator "-" is not supported at column 1`,
		`§`:                                    `unexpected '§' at column 1`,
	} {
		if _, err := cel.Parse(expression, "assertion"); err == nil || err.Error() != want {
			t.Errorf("Parse(%s) = %v, want %q", expression, err, want)
		}
	}
	if _, err := cel.Parse(string(make([]byte, 5000)), "assertion"); err == nil {
		t.Error("an expression of 5000 bytes is accepted")
	}
}

func FuzzParse(f *testing.F) {
	for _, expression := range []string{`assertion.sub`, `"a" + assertion['x'].split(":")[1]`, `!(1 < 2 || has(assertion.a))`, `((((`, `"\u00`} {
		f.Add(expression)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if parsed, err := cel.Parse(text, "assertion"); err == nil {
			_, _ = parsed.Evaluate(variables(t)) // it must not panic
		}
	})
}
