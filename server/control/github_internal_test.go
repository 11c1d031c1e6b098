package control

import (
	"strings"
	"testing"
)

// Names of repositories are as GitHub allows them.
func TestIsRepository(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"octo-org/octo-repo": true, "a/b": true, "9/._-": true,
		strings.Repeat("a", 39) + "/" + strings.Repeat("b", 100): true,
		"":                              false,
		"octo-org":                      false,
		"/octo-repo":                    false,
		"octo-org/":                     false,
		"-octo/repo":                    false,
		"octo_org/repo":                 false,
		"octo/re/po":                    false,
		"octo/re po":                    false,
		"öcto/repo":                     false,
		"octo/repo\n":                   false,
		strings.Repeat("a", 40) + "/b":  false,
		"a/" + strings.Repeat("b", 101): false,
	} {
		if got := isRepository(text); got != want {
			t.Errorf("%q: %t, want %t", text, got, want)
		}
	}
}
