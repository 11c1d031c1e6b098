package journal_test

import (
	"testing"

	"gcp-metadata-emulator/server/journal"
)

// FuzzExpectation checks that an expected number is met by some number, and not by all, if it is read.
func FuzzExpectation(f *testing.F) {
	for _, seed := range []string{"1", "<1", "<= 3", ">=0", "><1", "9223372036854775807", ">9223372036854775807", "-1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		expected, err := journal.ParseExpectation(text)
		if err == nil && expected.String() == "" {
			t.Errorf("%q is read as nothing", text)
		}
	})
}
