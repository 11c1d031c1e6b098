package integration_test

import (
	"strings"
	"testing"
)

const gitHubProvider = "projects/" + projectNumber + "/locations/global/workloadIdentityPools/ci-pool/providers/github"

// GitHub's own client asks for a job's ID token, and Google's library signs in with it. Only the
// repository that the policy names may act as the account.
func TestGitHubJob(t *testing.T) {
	t.Parallel()
	needNode(t, theStage())
	r := newRig(t)
	job := func(repository string) (printed, complained []byte, err error) {
		return r.try(t, "exec", "--state-dir", r.state, "--fixture", "testdata/github.yaml", "--strict", "--reach", "proxy",
			"--github-actions", repository, "--", r.stage.Node, nodeFolder+"/job.mjs", gitHubProvider, targetAccount)
	}
	printed, complained, err := job("octo-org/octo-repo@refs/tags/v1")
	if err != nil {
		t.Fatalf("%v\n%s%s", err, printed, complained)
	}
	// GitHub's client talks to the runner on the same output.
	lines := strings.Split(strings.TrimSpace(string(printed)), "\n")
	if !strings.Contains(string(printed), "::add-mask::") {
		t.Errorf("GitHub's client does not hide the token:\n%s", printed)
	}
	got := report[struct {
		Claims      map[string]any
		AccessToken string
	}](t, []byte(lines[len(lines)-1]))
	for name, want := range map[string]string{
		"iss": "https://token.actions.githubusercontent.com", "sub": "repo:octo-org/octo-repo:ref:refs/tags/v1",
		"aud": "https://iam.googleapis.com/" + gitHubProvider, "repository": "octo-org/octo-repo", "repository_owner": "octo-org",
	} {
		if got.Claims[name] != want {
			t.Errorf("the claim %s is %v, want %q", name, got.Claims[name], want)
		}
	}
	r.checkAccessToken(t, got.AccessToken, targetAccount)
	for repository, want := range map[string]string{
		"octo-org/other":     "iam.serviceAccounts.getAccessToken",
		"somebody/octo-repo": "condition",
	} {
		if printed, complained, err := job(repository); err == nil || !strings.Contains(string(complained), want) {
			t.Errorf("%s: %v, want %q\n%s%s", repository, err, want, printed, complained)
		}
	}
}
