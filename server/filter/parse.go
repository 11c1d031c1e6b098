package filter

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// parser reads an expression of AIP-160. Its methods are named after the rules of the grammar.
type parser struct {
	language Language
	text     string
	at       int
}

var errTooDeep = fmt.Errorf("the filter is nested more than %d levels deep", maxDepth)

// excerpt returns the beginning of a text in quotes, so that an error does not repeat a long filter.
func excerpt(text string) string {
	const longest = 100
	if len(text) > longest {
		text = text[:longest] + "..."
	}
	return strconv.Quote(text)
}

// misplaced returns an error about the text at which the parser is.
func (p *parser) misplaced() error {
	return fmt.Errorf("%s at byte %d cannot stand there", excerpt(p.text[p.at:]), p.at)
}

// atEnd skips spaces, and reports whether nothing is left.
func (p *parser) atEnd() bool {
	for p.at < len(p.text) && isSpace(p.text[p.at]) {
		p.at++
	}
	return p.at == len(p.text)
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// takes skips spaces and a token if the text continues with it.
func (p *parser) takes(token string) bool {
	if p.atEnd() || !strings.HasPrefix(p.text[p.at:], token) {
		return false
	}
	p.at += len(token)
	return true
}

// takesWord is takes for a word, which a space or a parenthesis must follow.
func (p *parser) takesWord(word string) bool {
	before := p.at
	if p.takes(word) && p.at < len(p.text) && (isSpace(p.text[p.at]) || p.text[p.at] == '(') {
		return true
	}
	p.at = before
	return false
}

// conjunction reads alternatives with AND or only spaces between them, up to the end of the text or a
// closing parenthesis.
func (p *parser) conjunction(depth int) (func(any) bool, error) {
	var all []func(any) bool
	for first := true; first || !p.atEnd() && p.text[p.at] != ')'; first = false {
		if !first {
			p.takesWord("AND")
		}
		accepts, err := p.alternatives(depth)
		if err != nil {
			return nil, err
		}
		all = append(all, accepts)
	}
	return every(all), nil
}

// alternatives reads terms with OR between them. OR binds more closely than AND.
func (p *parser) alternatives(depth int) (func(any) bool, error) {
	accepts, err := p.term(depth)
	for err == nil && p.takesWord("OR") {
		var other func(any) bool
		one := accepts
		other, err = p.term(depth)
		accepts = func(item any) bool { return one(item) || other(item) }
	}
	return accepts, err
}

func (p *parser) term(depth int) (func(any) bool, error) {
	if depth > maxDepth {
		return nil, errTooDeep
	}
	switch {
	case p.takesWord("NOT"), p.takes("-"):
		accepts, err := p.term(depth + 1)
		return func(item any) bool { return !accepts(item) }, err
	case p.takes("("):
		accepts, err := p.conjunction(depth + 1)
		if err == nil && !p.takes(")") {
			err = errors.New(`a ")" is missing`)
		}
		return accepts, err
	}
	return p.restriction()
}

// operators returns the operators in this order: no operator is the beginning of a later one.
func operators() []string { return []string{"<=", ">=", "!=", "=", "<", ">", ":"} }

func (p *parser) restriction() (func(any) bool, error) {
	field, err := p.field()
	if err != nil {
		return nil, err
	}
	for _, operator := range operators() {
		if p.takes(operator) {
			argument, err := p.argument()
			if err != nil {
				return nil, err
			}
			c := comparison{language: p.language, operator: operator, argument: argument}
			return func(item any) bool { return c.holds(valuesOf(item, field)) }, nil
		}
	}
	return nil, fmt.Errorf("after %s, one of the operators = != < > <= >= : is missing", excerpt(strings.Join(field, ".")))
}

// field reads the name of a field, with dots between its parts.
func (p *parser) field() ([]string, error) {
	var parts []string
	for {
		part, err := p.word(func(c byte) bool { return !isSpace(c) && strings.IndexByte(`()"'<>=!:,.`, c) < 0 })
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
		if p.at == len(p.text) || p.text[p.at] != '.' {
			return parts, nil
		}
		p.at++
	}
}

func (p *parser) argument() (string, error) {
	return p.word(func(c byte) bool { return !isSpace(c) && c != '(' && c != ')' })
}

// word reads text in quotes, or bytes of a kind.
func (p *parser) word(isPlain func(byte) bool) (string, error) {
	if p.atEnd() {
		return "", errors.New("the filter ends too early")
	}
	if quote := p.text[p.at]; quote == '"' || quote == '\'' {
		return p.quoted(quote)
	}
	start := p.at
	for p.at < len(p.text) && isPlain(p.text[p.at]) {
		p.at++
	}
	if start == p.at {
		return "", p.misplaced()
	}
	return p.text[start:p.at], nil
}

// quoted reads text in quotes, in which a backslash stands before a quote or a backslash.
func (p *parser) quoted(quote byte) (string, error) {
	var out strings.Builder
	for p.at++; p.at < len(p.text); p.at++ {
		switch c := p.text[p.at]; {
		case c == quote:
			p.at++
			return out.String(), nil
		case c == '\\' && p.at+1 < len(p.text):
			p.at++
			out.WriteByte(p.text[p.at])
		default:
			out.WriteByte(c)
		}
	}
	return "", errors.New("a closing quote is missing")
}
