package reach

import (
	"net/url"
	"strings"
)

// ForGitHub returns the variables with which a job of GitHub Actions asks for its ID token
// (https://docs.github.com/en/actions/reference/security/oidc). job is OWNER/NAME, or OWNER/NAME@REF.
// control is the URL of the control plane.
func ForGitHub(control, job string) []Variable {
	repository, ref, _ := strings.Cut(job, "@")
	query := url.Values{"api-version": {"2.0"}, "repository": {repository}}
	if ref != "" {
		query.Set("ref", ref)
	}
	return []Variable{
		// The job appends "&audience=" and the audience.
		{"ACTIONS_ID_TOKEN_REQUEST_URL", control + "/emulator/v1/github-actions/token?" + query.Encode()},
		{"ACTIONS_ID_TOKEN_REQUEST_TOKEN", "gcp-metadata-emulator"},
	}
}
