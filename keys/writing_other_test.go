//go:build !unix

package keys_test

import "testing"

// writing skips the test: folders have no locks here, and litter stays.
func writing(t *testing.T, _ string) (unlock func()) {
	t.Helper()
	t.Skip("folders have locks on Unix only")
	return nil
}
