package wire

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Pretty encodes value as Google's APIs print JSON: two spaces of indentation, no HTML escapes,
// a final newline. encoding/json must be able to encode the value.
func Pretty(value any) string { return Indented(value, "  ") }

// Indented is Pretty with another indentation.
func Indented(value any, indent string) string { return encode(value, indent) }

// Compact is Pretty without spaces between tokens and without a final newline.
func Compact(value any) string { return strings.TrimSuffix(encode(value, ""), "\n") }

func encode(value any, indent string) string {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", indent)
	if err := encoder.Encode(value); err != nil {
		panic(fmt.Sprintf("encode %T: %v", value, err)) // a bug in the caller; Adapt answers 500
	}
	return out.String()
}
