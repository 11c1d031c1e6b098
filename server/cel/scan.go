package cel

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

type tokenKind int

const (
	tokenEnd tokenKind = iota
	tokenName
	tokenNumber
	tokenString // its text is what it stands for
	tokenSymbol
)

type token struct {
	kind   tokenKind
	text   string
	column int
}

// symbols are the operators and brackets, longer ones before those that they begin with.
func symbols() []string {
	return []string{
		"==", "!=", "<=", ">=", "&&", "||",
		"<", ">", "!", "+", "-", "*", "/", "%", "?", ":", ".", ",", "(", ")", "[", "]", "{", "}",
	}
}

// scan takes an expression apart. The last token is of kind tokenEnd.
func scan(text string) ([]token, error) {
	var tokens []token
	known := symbols()
	for at := 0; at < len(text); {
		if strings.IndexByte(" \t\r\n\f", text[at]) >= 0 {
			at++
			continue
		}
		next, length, err := scanOne(text[at:], known)
		if err != nil {
			return nil, &SyntaxError{Column: at + 1, Message: err.Error()}
		}
		next.column = at + 1
		tokens = append(tokens, next)
		at += length
	}
	return append(tokens, token{kind: tokenEnd, column: len(text) + 1}), nil
}

func scanOne(rest string, known []string) (next token, length int, err error) {
	if quote := strings.TrimPrefix(rest, "r"); quote != "" && (quote[0] == '"' || quote[0] == '\'') {
		return scanString(rest)
	}
	if length := span(rest, isNameByte); length > 0 && !isDigit(rest[0]) {
		return token{kind: tokenName, text: rest[:length]}, length, nil
	}
	if length := span(rest, func(c byte) bool { return isNameByte(c) || c == '.' }); length > 0 && isDigit(rest[0]) {
		return token{kind: tokenNumber, text: rest[:length]}, length, nil
	}
	for _, symbol := range known {
		if strings.HasPrefix(rest, symbol) {
			return token{kind: tokenSymbol, text: symbol}, len(symbol), nil
		}
	}
	character, _ := utf8.DecodeRuneInString(rest)
	return token{}, 0, fmt.Errorf("unexpected %q", character)
}

// scanString reads a string in single or double quotes; with an r before it, it has no
// escapes.
func scanString(rest string) (next token, length int, err error) {
	body, raw := strings.CutPrefix(rest, "r")
	quote := body[0]
	if strings.HasPrefix(body[1:], string([]byte{quote, quote})) {
		return token{}, 0, errors.New("strings in triple quotes are not supported")
	}
	end := 1
	for ; end < len(body) && body[end] != quote; end++ {
		if body[end] == '\\' && !raw {
			end++
		}
	}
	if end >= len(body) {
		return token{}, 0, errors.New("the string has no end")
	}
	content, length := body[1:end], len(rest)-len(body)+end+1
	if !raw {
		if content, err = unescape(content, quote); err != nil {
			return token{}, 0, err
		}
	}
	return token{kind: tokenString, text: content}, length, nil
}

// unescape reads the escapes that the language shares with Go.
func unescape(content string, quote byte) (string, error) {
	var out strings.Builder
	for content != "" {
		if other := '"' ^ '\'' ^ quote; len(content) > 1 && content[0] == '\\' && content[1] == other {
			out.WriteByte(other) // Go knows this one in strings of the other quotes alone
			content = content[2:]
			continue
		}
		character, multibyte, tail, err := strconv.UnquoteChar(content, quote)
		if err != nil {
			return "", errors.New("the string has an escape that is not supported")
		}
		if character >= utf8.RuneSelf && !multibyte { // a byte, where the language has a character
			return "", errors.New("the string has an escape that is not supported")
		}
		out.WriteRune(character)
		content = tail
	}
	return out.String(), nil
}

func span(text string, fits func(byte) bool) int {
	length := 0
	for length < len(text) && fits(text[length]) {
		length++
	}
	return length
}

func isDigit(c byte) bool    { return c >= '0' && c <= '9' }
func isNameByte(c byte) bool { return c == '_' || isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'z' }
