// Package aloud skips tests so that everybody sees it. It is for the tests that need other programs, which are
// in several modules. It does not find the programs.
package aloud

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// Skip skips a test, and says so on standard error too, because go test hides the log of a skipped test.
func Skip(t testing.TB, reason ...any) {
	t.Helper()
	text := strings.TrimSuffix(fmt.Sprintln(reason...), "\n")
	fmt.Fprintf(os.Stderr, "integration: SKIPPED: %s: %s\n", t.Name(), text)
	t.Skip(text)
}
