package servertest

import (
	"testing"

	"gcp-metadata-emulator/server/reach"
)

// SetenvGitHubActions sets the variables with which a job of GitHub Actions asks for its ID token.
// job is OWNER/NAME, or OWNER/NAME@REF. A provider with the issuer github-actions accepts the tokens.
// The test must not be parallel, as with [testing.T.Setenv].
func (e *Emulator) SetenvGitHubActions(t testing.TB, job string) {
	t.Helper()
	for _, variable := range reach.ForGitHub(e.URL, job) {
		t.Setenv(variable.Name, variable.Value)
	}
}
