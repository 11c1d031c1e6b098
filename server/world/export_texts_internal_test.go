package world

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"gcp-metadata-emulator/fixtures"
)

// Every text can be described, with whatever characters it has, wherever it stands.
func TestDescribedTexts(t *testing.T) {
	t.Parallel()
	var characters []rune
	for r := range rune(0x300) {
		characters = append(characters, r)
	}
	characters = append(characters, 0x2027, 0x2028, 0x2029, 0x202a, 0xd7ff, 0xe000, 0xfeff, 0xfffd, 0xfffe, 0xffff, 0x10000, 0x1f600, 0x1fffe, 0x10ffff)
	texts := []string{
		"", " ", "\n", "\n\n", "a\n", "a\n\n", " a\nb", "a \nb", "a\n b\n", "a\r\nb", "a\rb", "\ta", "a\t\nb", "a\n\tb", "#a", "a #b", "- a", "? a", ": a", "a:", "a: b",
		"{a}", "[a]", "&a", "*a", "!a", "|", ">", "'a'", "\"a\"", "\\", "%a", "@a", "`a", "---", "...", "---\na\n", "yes", "~", "null", "1", "0x1", "1e3", "1:30",
		"2001-01-01", "<<", "=", ".inf", "a\u0085b\nc", "a\u2028b\nc", "\ufeff", "\ufeffa\nb", "a\nb\uffff", strings.Repeat("word ", 1000), strings.Repeat("x\n", 1000),
	}
	for _, r := range characters {
		texts = append(texts, string(r), "a"+string(r)+"b", "a\n"+string(r)+"b\n")
	}
	w := load(t, fixtures.Files{Fixture: filepath.Join(testdata, "fixture.yaml")})
	attributes, document := map[string]any{}, map[string]any{}
	for i, text := range texts {
		attributes[fmt.Sprintf("k%d", i)] = text
		document[text] = text
	}
	for path, value := range map[string]any{
		"instance/attributes": attributes, "project/attributes": attributes, "instance/platform-security/auto-mtls-configuration": document,
	} {
		instance, _ := w.Instance("full-vm")
		edited, err := w.WithMetadata(instance, path, value)
		if err != nil {
			t.Fatal(err)
		}
		w = edited
	}
	checkRoundTrip(t, w)
}
