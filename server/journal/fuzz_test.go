package journal_test

import (
	"cmp"
	"strconv"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/journal"
)

// FuzzExpectation checks that an expected number is met by the numbers that its text promises, and that it
// is written as it is read, apart from a space.
func FuzzExpectation(f *testing.F) {
	for _, seed := range []string{"1", "<1", "<= 3", ">=0", ">1", "<=3", "><1", "9223372036854775806", ">9223372036854775807", "-1", "<+2", "007"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		expected, err := journal.ParseExpectation(text)
		if err != nil {
			return
		}
		again, err := journal.ParseExpectation(strings.ReplaceAll(expected.String(), " ", ""))
		if err != nil || again != expected {
			t.Errorf("%q is written %q, and read as %q: %v", text, expected, again, err)
		}
		number := strings.TrimLeft(text, "<>=")
		count, err := strconv.Atoi(number)
		if err != nil {
			t.Fatalf("%q has no number: %v", text, err)
		}
		for _, n := range []int{max(count-1, 0), count, count + 1} {
			want := promises(strings.TrimSuffix(text, number), cmp.Compare(n, count))
			if expected.Met(n, n) != want || expected.Possible(n, n) != want {
				t.Errorf("%q is met by %d: %t, possible: %t", text, n, expected.Met(n, n), expected.Possible(n, n))
			}
		}
	})
}

// promises reports whether a comparison allows a number that is less than (-1), equal to (0) or greater
// than (1) the number after the comparison.
func promises(comparison string, compared int) bool {
	return strings.Contains(cmp.Or(comparison, "="), string("<=>"[compared+1]))
}
