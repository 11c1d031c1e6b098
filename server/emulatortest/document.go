package emulatortest

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Generated checks that a document has a text between the comments <!-- name --> and <!-- end of
// name -->. If the test has the flag -update, Generated writes the text instead. A test with
// Generated must not be parallel, because others read the document.
func Generated(t *testing.T, file, name, want string) {
	t.Helper()
	begin, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->\n"
	document := string(Must[[]byte](t)(os.ReadFile(file)))
	before, rest, found := strings.Cut(document, begin)
	got, after, ended := strings.Cut(rest, end)
	switch update := flag.Lookup("update"); {
	case !found || !ended:
		t.Errorf("%s has no place %q for a generated text", file, strings.TrimSpace(begin))
	case got == want:
	case update != nil && update.Value.String() == "true":
		if err := os.WriteFile(file, []byte(before+begin+want+end+after), 0o644); err != nil { //nolint:gosec // as git writes it
			t.Fatal(err)
		}
	default:
		t.Errorf("%s, %s (-is +should be; go test -run %s -update writes it):\n%s", file, name, t.Name(), cmp.Diff(got, want))
	}
}

// TableOf returns a table of Markdown. The first row is its head.
func TableOf(rows ...[]string) string {
	var table strings.Builder
	for i, row := range rows {
		table.WriteString("| " + strings.ReplaceAll(strings.Join(row, "\x00"), "|", `\|`) + " |\n")
		if i == 0 {
			table.WriteString(strings.Repeat("|---", len(row)) + "|\n")
		}
	}
	return strings.ReplaceAll(table.String(), "\x00", " | ")
}
