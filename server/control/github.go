package control

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// A job of GitHub Actions asks for its ID token at a URL from the runner. It adds the audience to the
// URL, and sends a bearer token from the runner
// (https://docs.github.com/en/actions/reference/security/oidc).

// The lifetime of such a token, and how long before its issue it is valid.
const (
	githubLifetime = 5 * time.Minute
	githubEarly    = 10 * time.Minute
)

// isRepository reports whether a text is the name of a repository of GitHub, OWNER/NAME.
func isRepository(text string) bool {
	const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	const longestOwner, longestName = 39, 100
	owner, name, _ := strings.Cut(text, "/")
	return owner != "" && len(owner) <= longestOwner && owner[0] != '-' && strings.Trim(owner, alphanumeric+"-") == "" &&
		name != "" && len(name) <= longestName && strings.Trim(name, alphanumeric+"._-") == ""
}

// GitHubToken issues an ID token of GitHub Actions for a job of the repository in the query. The
// emulator's keys sign it, so a provider with the issuer github-actions accepts it.
func (s *Server) GitHubToken(r *http.Request) (wire.Response, error) {
	if scheme, credential, _ := strings.Cut(r.Header.Get("Authorization"), " "); !strings.EqualFold(scheme, "bearer") || credential == "" {
		return wire.Response{}, &googleapi.Error{
			Code: http.StatusUnauthorized, Status: "UNAUTHENTICATED",
			Message: "the request has no bearer token; a job sends the one in ACTIONS_ID_TOKEN_REQUEST_TOKEN",
		}
	}
	query := r.URL.Query()
	job := githubJob{repository: query.Get("repository"), ref: cmp.Or(query.Get("ref"), "refs/heads/main"), environment: query.Get("environment")}
	if !isRepository(job.repository) {
		return wire.Response{}, googleapi.InvalidArgument(fmt.Sprintf("%q is not a repository of GitHub, such as octo-org/octo-repo", job.repository))
	}
	current := s.worlds.Load().State
	who, err := chosenPrincipal(current, "")
	if err != nil {
		return wire.Response{}, err
	}
	issued, err := s.issuer.Mint(r.Context(), current, token.Order{
		Kind: token.KindID, Principal: who, Lifetime: githubLifetime,
		Audience: cmp.Or(query.Get("audience"), "https://github.com/"+job.owner()), Claims: job.claims(s.clock.Now()),
	})
	if refused, ok := errors.AsType[*token.OrderError](err); ok {
		return wire.Response{}, googleapi.InvalidArgument(refused.Reason)
	}
	if err != nil {
		return wire.Response{}, err
	}
	return secret(struct {
		Count int    `json:"count"`
		Value string `json:"value"`
	}{1, issued.Text}), nil
}

// githubJob is a job of GitHub Actions.
type githubJob struct {
	repository, ref string
	environment     string // empty: none
}

func (j githubJob) owner() string {
	owner, _, _ := strings.Cut(j.repository, "/")
	return owner
}

// subject returns the default form of the subject, which names the environment or else the ref.
func (j githubJob) subject() string {
	if j.environment != "" {
		return "repo:" + j.repository + ":environment:" + j.environment
	}
	return "repo:" + j.repository + ":ref:" + j.ref
}

// claims returns the payload without its audience and times. Numbers are invented, and the same for
// every job. A null removes a claim that only Google's own ID tokens have.
func (j githubJob) claims(now time.Time) map[string]any {
	const workflow = "/.github/workflows/emulator.yaml@"
	const commit = "0123456789abcdef0123456789abcdef01234567"
	refType := "branch"
	if strings.HasPrefix(j.ref, "refs/tags/") {
		refType = "tag"
	}
	claims := map[string]any{
		"azp": nil, "email": nil, "email_verified": nil,
		"iss": world.GitHubIssuer, "sub": j.subject(), "nbf": now.Add(-githubEarly).Unix(),
		"ref": j.ref, "ref_type": refType, "ref_protected": "false", "sha": commit, "head_ref": "", "base_ref": "",
		"repository": j.repository, "repository_id": "100000001", "repository_visibility": "private",
		"repository_owner": j.owner(), "repository_owner_id": "100001",
		"actor": j.owner(), "actor_id": "100001", "event_name": "push",
		"workflow": "emulator", "workflow_ref": j.repository + workflow + j.ref, "workflow_sha": commit,
		"job_workflow_ref": j.repository + workflow + j.ref, "job_workflow_sha": commit,
		"run_id": "1", "run_number": "1", "run_attempt": "1", "runner_environment": "github-hosted",
	}
	if j.environment != "" {
		claims["environment"] = j.environment
	}
	return claims
}
