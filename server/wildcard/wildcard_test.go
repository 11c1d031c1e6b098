package wildcard_test

import (
	"testing"

	"gcp-metadata-emulator/server/wildcard"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true},
		{"", "mds.token", true},
		{"mds.token", "mds.token", true},
		{"mds.token", "mds.tokens", false},
		{"mds.token", "", false},
		{"*", "", true},
		{"*", "mds.token", true},
		{"mds.*", "mds.token", true},
		{"mds.*", "mds", false},
		{"*token", "oauth2.token", true},
		{"*token", "oauth2.tokeninfo", false},
		{"a*a", "a", false},
		{"a*a", "aa", true},
		{"*b*", "abc", true},
		{"*b*", "ac", false},
		{"a*b*c", "a-b-b-c", true},
		{"a*b*c", "a-c-b", false},
		{"*/secrets/*", "/v1/secrets/x", true},
		{"MDS.*", "mds.token", false},
	} {
		if got := wildcard.Match(test.pattern, test.text); got != test.want {
			t.Errorf("Match(%q, %q) = %t", test.pattern, test.text, got)
		}
	}
}
