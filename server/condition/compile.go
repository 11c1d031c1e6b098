package condition

import (
	"fmt"
	"unicode/utf8"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/interpreter"
)

// mostCost limits the cost of an evaluation, in the units of package cel. An ordinary expression
// costs less than a hundred units, and five units for each item of a list that it examines.
const mostCost = 20_000

// compile compiles an expression and checks the type of its value. The error is an *Error.
func compile(of selector, text string, fits check) (cel.Program, error) {
	all, err := languages()
	if err != nil {
		return nil, err // cannot happen: the languages are constant
	}
	k := of(all)
	switch length := utf8.RuneCountInString(text); {
	case !utf8.ValidString(text):
		return nil, &Error{Line: 1, Column: 1, Message: "the expression is not UTF-8"}
	case k.longest > 0 && length > k.longest:
		return nil, &Error{Line: 1, Column: k.longest + 1, Message: fmt.Sprintf("the expression has %d characters, and may have %d", length, k.longest)}
	}
	compiled, issues := k.env.Compile(text)
	if issues.Err() != nil {
		return nil, k.explain(text, issues)
	}
	if problem := fits(compiled.OutputType()); problem != "" {
		return nil, &Error{Line: 1, Column: 1, Message: problem}
	}
	if err := k.checkForm(text); err != nil {
		return nil, err
	}
	// Constants are not folded, because the limit of the cost does not apply to folding.
	program, err := k.env.Program(compiled, cel.CostLimit(mostCost), cel.OptimizeRegex(interpreter.MatchesRegexOptimization))
	if err != nil {
		return nil, &Error{Line: 1, Column: 1, Message: firstLine(err.Error())}
	}
	return program, nil
}

// check returns an error about the type of an expression's value, or nil.
type check func(*cel.Type) string

func isBoolean(t *cel.Type) string {
	if isOf(t, types.BoolKind) {
		return ""
	}
	return "the expression is " + typeName(t.String()) + ", and must be a boolean"
}

func isText(t *cel.Type) string {
	if isOf(t, types.StringKind) {
		return ""
	}
	return "the expression is " + typeName(t.String()) + ", and must be a string"
}

func isTexts(t *cel.Type) string {
	switch {
	case !isOf(t, types.ListKind):
		return "the expression is " + typeName(t.String()) + ", and must be a list of strings"
	case t.Kind() == types.ListKind && !isOf(t.Parameters()[0], types.StringKind):
		return "the expression is a list whose items are not strings"
	}
	return ""
}

// isOf reports whether a type is of a kind, or may be when it is evaluated.
func isOf(t *cel.Type, kind types.Kind) bool {
	return t.Kind() == kind || t.Kind() == types.DynKind || t.Kind() == types.TypeParamKind
}

// checkForm refuses an expression if it compiles, but Google would refuse it.
func (k *kind) checkForm(text string) error {
	written, issues := k.bare.Parse(text)
	if issues.Err() != nil {
		return k.explain(text, issues)
	}
	var mistake *Error
	logic := 0
	info := written.NativeRep().SourceInfo()
	ast.PostOrderVisit(written.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind {
			return
		}
		call := e.AsCall()
		switch call.FunctionName() {
		case operators.LogicalAnd, operators.LogicalOr:
			logic += len(call.Args()) - 1
		case operators.LogicalNot:
			logic++
		case extractName:
			if template, ok := literal(call.Args()); ok && mistake == nil && !isTemplate(template) {
				at := info.GetStartLocation(call.Args()[0].ID())
				mistake = &Error{
					Line: at.Line(), Column: at.Column() + 1, Message: fmt.Sprintf("the template %q has no name in braces", template),
					Suggestion: `write one such as "buckets/{name}/objects/"`,
				}
			}
		}
	}))
	switch {
	case mistake != nil:
		return mistake
	case k.mostLogic > 0 && logic > k.mostLogic:
		return &Error{Line: 1, Column: 1, Message: fmt.Sprintf("the expression has %d logical operators, and may have %d", logic, k.mostLogic)}
	}
	return nil
}

func isTemplate(text string) bool {
	_, _, ok := cutTemplate(text)
	return ok
}

// literal returns the text of a call's only argument, if it is a literal.
func literal(arguments []ast.Expr) (string, bool) {
	if len(arguments) != 1 || arguments[0].Kind() != ast.LiteralKind {
		return "", false
	}
	text, ok := arguments[0].AsLiteral().(types.String)
	return string(text), ok
}
