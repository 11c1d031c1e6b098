package partial

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"gcp-metadata-emulator/server/wire"
)

// Limits of a selection.
const (
	maxLength = 8 << 10 // bytes
	maxDepth  = 32      // names in one path
)

// wildcard selects every field of an object.
const wildcard = "*"

// Selection is a set of fields of a JSON document.
type Selection struct {
	whole bool                  // every value below is selected
	below map[string]*Selection // by name; may have the wildcard
}

// Parse reads a selection: names with commas between them. A slash or a dot leads into an object or
// into each element of a list, parentheses select several fields there, and an asterisk selects all
// fields.
func Parse(text string) (*Selection, error) {
	if len(text) > maxLength {
		return nil, fmt.Errorf("the selection has %d bytes, more than %d", len(text), maxLength)
	}
	p := parser{text: strings.Join(strings.Fields(text), "")}
	top := &Selection{}
	err := p.list(top, 0)
	if err == nil && p.at < len(p.text) {
		err = p.misplaced()
	}
	return top, err
}

type parser struct {
	text string
	at   int
}

// next returns the next byte, or 0 at the end.
func (p *parser) next() byte {
	if p.at == len(p.text) {
		return 0
	}
	return p.text[p.at]
}

func (p *parser) takes(c byte) bool {
	if p.next() != c {
		return false
	}
	p.at++
	return true
}

func (p *parser) misplaced() error {
	const shown = 20
	if p.at == len(p.text) {
		return errors.New("a name of a field is missing at the end")
	}
	return fmt.Errorf("%s cannot stand at byte %d", strconv.Quote(p.text[p.at:min(len(p.text), p.at+shown)]), p.at)
}

// list reads paths into a selection.
func (p *parser) list(into *Selection, depth int) error {
	for {
		if err := p.path(into, depth); err != nil {
			return err
		}
		if !p.takes(',') {
			return nil
		}
	}
}

func (p *parser) path(into *Selection, depth int) error {
	for {
		if depth++; depth > maxDepth {
			return fmt.Errorf("the selection is nested more than %d levels deep", maxDepth)
		}
		name := p.name()
		if name == "" {
			return p.misplaced()
		}
		into = into.at(name)
		switch {
		case p.takes('/'), p.takes('.'):
		case p.takes('('):
			if err := p.list(into, depth); err != nil {
				return err
			}
			if !p.takes(')') {
				return errors.New(`a ")" is missing`)
			}
			return nil
		default:
			into.whole = true
			return nil
		}
	}
}

func (p *parser) name() string {
	start := p.at
	for p.at < len(p.text) && strings.IndexByte("/.,()[]{}\"'", p.text[p.at]) < 0 {
		p.at++
	}
	return p.text[start:p.at]
}

// at returns the selection below a name, and adds it if it is missing.
func (s *Selection) at(name string) *Selection {
	if s.below == nil {
		s.below = map[string]*Selection{}
	}
	if s.below[name] == nil {
		s.below[name] = &Selection{}
	}
	return s.below[name]
}

// Of returns the selected fields of a JSON document, in its form: indented or on one line. If a text
// is not a JSON document, Of returns it unchanged.
func (s *Selection) Of(document string) string {
	cut, selected := of([]*Selection{s}, []byte(document))
	if !selected {
		return document
	}
	if !strings.HasSuffix(document, "\n") {
		return string(cut)
	}
	var indented bytes.Buffer
	if json.Indent(&indented, cut, "", indentation(document)) != nil {
		return document
	}
	return indented.String() + "\n"
}

// indentation returns the spaces before the first field of an indented document.
func indentation(document string) string {
	_, below, _ := strings.Cut(document, "\n")
	return below[:len(below)-len(strings.TrimLeft(below, " "))]
}

// of returns the part of a value that at least one selection selects. If the value is neither an
// object nor a list, no selection leads into it, and selected is false.
func of(selections []*Selection, value json.RawMessage) (cut []byte, selected bool) {
	decoder := json.NewDecoder(bytes.NewReader(value))
	opening, err := decoder.Token()
	if err != nil {
		return nil, false
	}
	switch opening {
	case json.Delim('{'):
		return fieldsOf(selections, decoder)
	case json.Delim('['):
		return elementsOf(selections, decoder)
	default:
		return nil, false
	}
}

func fieldsOf(selections []*Selection, decoder *json.Decoder) (cut []byte, selected bool) {
	cut = []byte{'{'}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, false
		}
		var value json.RawMessage
		if decoder.Decode(&value) != nil {
			return nil, false
		}
		key, _ := name.(string)
		if value, found := field(selections, key, value); found {
			if len(cut) > 1 {
				cut = append(cut, ',')
			}
			cut = append(append(cut, wire.Compact(key)...), ':')
			cut = append(cut, value...)
		}
	}
	return append(cut, '}'), true
}

// field returns the selected part of a field of an object.
func field(selections []*Selection, name string, value json.RawMessage) (part []byte, selected bool) {
	var below []*Selection
	for _, selection := range selections {
		for _, name := range []string{name, wildcard} {
			inner := selection.below[name]
			if inner == nil {
				continue
			}
			if inner.whole {
				return compact(value), true
			}
			below = append(below, inner)
		}
	}
	if below == nil {
		return nil, false
	}
	return of(below, value)
}

func elementsOf(selections []*Selection, decoder *json.Decoder) (cut []byte, selected bool) {
	cut = []byte{'['}
	for decoder.More() {
		var element json.RawMessage
		if decoder.Decode(&element) != nil {
			return nil, false
		}
		part, found := of(selections, element)
		if !found {
			continue
		}
		if len(cut) > 1 {
			cut = append(cut, ',')
		}
		cut = append(cut, part...)
	}
	return append(cut, ']'), true
}

func compact(value json.RawMessage) []byte {
	var out bytes.Buffer
	if json.Compact(&out, value) != nil {
		return value
	}
	return out.Bytes()
}
