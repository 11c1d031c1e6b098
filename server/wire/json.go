package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync"
)

// Pretty encodes value as Google's APIs print JSON: two spaces of indentation, no HTML escapes,
// a final newline. encoding/json must be able to encode the value.
func Pretty(value any) string { return Indented(value, "  ") }

// Indented is Pretty with another indentation.
func Indented(value any, indent string) string {
	p := newPrinter(value)
	defer p.release()
	p.indented = appendIndented(p.indented[:0], p.compact.Bytes(), indent)
	return string(p.indented)
}

// Compact is Pretty without spaces between tokens and without a final newline.
func Compact(value any) string {
	p := newPrinter(value)
	defer p.release()
	return string(bytes.TrimSuffix(p.compact.Bytes(), []byte("\n")))
}

// printer encodes values, one after the other. Printers are reused, because nearly every answer needs a
// printer.
type printer struct {
	encoder  *json.Encoder
	compact  bytes.Buffer // to which encoder writes
	indented []byte
}

var printers = sync.Pool{New: func() any { //nolint:gochecknoglobals // unused memory, of which the collector disposes
	p := &printer{}
	p.encoder = json.NewEncoder(&p.compact)
	p.encoder.SetEscapeHTML(false)
	return p
}}

// newPrinter returns a printer that has encoded a value.
func newPrinter(value any) *printer {
	p := printers.Get().(*printer)
	p.compact.Reset()
	if err := p.encoder.Encode(value); err != nil {
		panic(fmt.Sprintf("encode %T: %v", value, err)) // a bug in the caller; Adapt answers 500
	}
	return p
}

// release lets others use the printer, unless it has become large.
func (p *printer) release() {
	const large = 64 << 10
	if p.compact.Cap() <= large && cap(p.indented) <= large {
		printers.Put(p)
	}
}

// appendIndented does the same as json.Indent, in a third of the time. It does not check the text,
// because encoding/json has written it.
func appendIndented(out, compact []byte, indent string) []byte {
	depth := 0
	line := func() {
		out = append(out, '\n')
		for range depth {
			out = append(out, indent...)
		}
	}
	for i := 0; i < len(compact); i++ {
		switch c := compact[i]; c {
		case '"':
			end := endOfString(compact, i)
			out = append(out, compact[i:end]...)
			i = end - 1
		case '{', '[':
			out = append(out, c)
			if next := compact[i+1]; next == '}' || next == ']' {
				out = append(out, next)
				i++
				continue
			}
			depth++
			line()
		case '}', ']':
			depth--
			line()
			out = append(out, c)
		case ',':
			out = append(out, c)
			line()
		case ':':
			out = append(out, c, ' ')
		default:
			out = append(out, c)
		}
	}
	return out
}

// endOfString returns the index after the string that begins at an index.
func endOfString(compact []byte, at int) int {
	for at++; compact[at] != '"'; at++ {
		if compact[at] == '\\' {
			at++
		}
	}
	return at + 1
}
