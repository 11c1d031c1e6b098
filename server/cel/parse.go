package cel

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// parser reads an expression by recursive descent, one method for each level of precedence.
type parser struct {
	tokens    []token
	variables []string
}

func (p *parser) peek() token { return p.tokens[0] }

func (p *parser) next() token {
	t := p.tokens[0]
	if t.kind != tokenEnd {
		p.tokens = p.tokens[1:]
	}
	return t
}

// accept takes the next token if it is one of some symbols or the word "in".
func (p *parser) accept(texts ...string) (token, bool) {
	t := p.peek()
	if (t.kind != tokenSymbol && t.kind != tokenName) || !slices.Contains(texts, t.text) {
		return token{}, false
	}
	return p.next(), true
}

func (p *parser) expect(symbol string) error {
	if _, ok := p.accept(symbol); !ok {
		return unexpected(p.peek())
	}
	return nil
}

func (p *parser) conditional() (evaluator, error) {
	condition, err := p.or()
	if err != nil {
		return nil, err
	}
	if _, ok := p.accept("?"); !ok {
		return condition, nil
	}
	yes, err := p.or()
	if err != nil {
		return nil, err
	}
	if err := p.expect(":"); err != nil {
		return nil, err
	}
	no, err := p.conditional()
	if err != nil {
		return nil, err
	}
	return choice(condition, yes, no), nil
}

func (p *parser) or() (evaluator, error) {
	return p.chain(p.and, func(string) operation { return either }, "||")
}

func (p *parser) and() (evaluator, error) {
	return p.chain(p.relation, func(string) operation { return both }, "&&")
}

func (p *parser) relation() (evaluator, error) {
	return p.chain(p.addition, relation, "==", "!=", "<", "<=", ">", ">=", "in")
}

func (p *parser) addition() (evaluator, error) {
	return p.chain(p.unary, func(string) operation { return strict(add) }, "+")
}

// chain reads operands with left-associative operators between them.
func (p *parser) chain(operand func() (evaluator, error), meaning func(operator string) operation, operators ...string) (evaluator, error) {
	left, err := operand()
	if err != nil {
		return nil, err
	}
	for {
		operator, ok := p.accept(operators...)
		if !ok {
			return left, nil
		}
		right, err := operand()
		if err != nil {
			return nil, err
		}
		left = meaning(operator.text)(left, right)
	}
}

func (p *parser) unary() (evaluator, error) {
	if _, ok := p.accept("!"); !ok {
		return p.member()
	}
	operand, err := p.unary()
	if err != nil {
		return nil, err
	}
	return not(operand), nil
}

// member reads a value and what is selected from it, or asked of it.
func (p *parser) member() (evaluator, error) {
	value, err := p.primary()
	for err == nil {
		if _, ok := p.accept("."); ok {
			value, err = p.selection(value)
			continue
		}
		if _, ok := p.accept("["); !ok {
			return value, nil
		}
		var index evaluator
		if index, err = p.conditional(); err == nil {
			value, err = strict(at)(value, index), p.expect("]")
		}
	}
	return nil, err
}

func (p *parser) selection(value evaluator) (evaluator, error) {
	name := p.next()
	if name.kind != tokenName {
		return nil, unexpected(name)
	}
	if _, ok := p.accept("("); !ok {
		return field(value, name.text), nil
	}
	arguments, err := p.list(")")
	if err != nil {
		return nil, err
	}
	known, ok := methods()[name.text]
	switch {
	case !ok:
		return nil, &SyntaxError{Column: name.column, Message: fmt.Sprintf("function %q is not supported", name.text)}
	case len(arguments) < known.fewest || len(arguments) > known.most:
		return nil, &SyntaxError{Column: name.column, Message: fmt.Sprintf("function %q has another number of arguments", name.text)}
	}
	return call(known.apply, append([]evaluator{value}, arguments...)), nil
}

// list reads expressions with commas between them, up to a closing bracket.
func (p *parser) list(closing string) ([]evaluator, error) {
	var items []evaluator
	if _, ok := p.accept(closing); ok {
		return nil, nil
	}
	for {
		item, err := p.conditional()
		if err != nil {
			return nil, err
		}
		items = append(items, item)
		if _, ok := p.accept(","); !ok {
			return items, p.expect(closing)
		}
	}
}

func (p *parser) primary() (evaluator, error) {
	switch t := p.next(); t.kind {
	case tokenString:
		return constant(t.text), nil
	case tokenNumber:
		return number(t, "")
	case tokenName:
		return p.named(t)
	case tokenSymbol:
		return p.bracketed(t)
	case tokenEnd:
	}
	return nil, unexpected(p.peek())
}

func (p *parser) bracketed(t token) (evaluator, error) {
	switch t.text {
	case "(":
		value, err := p.conditional()
		if err != nil {
			return nil, err
		}
		return value, p.expect(")")
	case "[":
		items, err := p.list("]")
		return listOf(items), err
	case "-":
		if p.peek().kind == tokenNumber {
			return number(p.next(), "-")
		}
	}
	return nil, unexpected(t)
}

// number reads a literal; the unsigned ones of the language end in u and are not supported.
func number(t token, sign string) (evaluator, error) {
	value, err := strconv.ParseFloat(sign+t.text, 64)
	if err != nil || strings.ContainsAny(t.text, "_xXpP") {
		return nil, &SyntaxError{Column: t.column, Message: fmt.Sprintf("number %q is not supported", t.text)}
	}
	return constant(value), nil
}

func (p *parser) named(t token) (evaluator, error) {
	if _, ok := p.accept("("); ok {
		return p.function(t)
	}
	switch t.text {
	case "true", "false":
		return constant(t.text == "true"), nil
	case "null":
		return constant(nil), nil
	}
	if !slices.Contains(p.variables, t.text) {
		return nil, &SyntaxError{
			Column: t.column, Message: fmt.Sprintf("%q is not known here, only %s", t.text, strings.Join(p.variables, ", ")),
		}
	}
	return func(variables map[string]any) (any, error) { return variables[t.text], nil }, nil
}

func (p *parser) function(t token) (evaluator, error) {
	argument, err := p.member()
	if err != nil {
		return nil, err
	}
	if err := p.expect(")"); err != nil {
		return nil, err
	}
	switch t.text {
	case "has":
		return has(argument), nil
	case "size":
		return call(size, []evaluator{argument}), nil
	default:
		return nil, &SyntaxError{Column: t.column, Message: fmt.Sprintf("function %q is not supported", t.text)}
	}
}
