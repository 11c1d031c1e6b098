package wildcard_test

import (
	"regexp"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/wildcard"
)

// FuzzMatch compares patterns with regular expressions.
func FuzzMatch(f *testing.F) {
	for _, seed := range [][2]string{{"", ""}, {"*", "a"}, {"a*a", "a"}, {"*b*", "abc"}, {"a**b", "ab"}, {"mds.*", "mds.token"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		quoted := strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, "(?s:.*)")
		same, err := regexp.Compile("^" + quoted + "$")
		if err != nil || strings.ToValidUTF8(pattern, "") != pattern || strings.ToValidUTF8(text, "") != text {
			return // regular expressions do not know invalid UTF-8
		}
		if got, want := wildcard.Match(pattern, text), pattern == "" || same.MatchString(text); got != want {
			t.Errorf("Match(%q, %q) = %t", pattern, text, got)
		}
	})
}
