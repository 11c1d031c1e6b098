package integration_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	awsPool = "projects/" + projectNumber + "/locations/global/workloadIdentityPools/aws-pool"
	awsRole = "arn:aws:sts::123456789012:assumed-role/worker/session"
)

// awsFixture has a provider of AWS and its access key. The session token of the key must be escaped
// in URLs.
const awsFixture = `{"workloadIdentityPools": [{"id": "aws-pool", "providers": [{"id": "aws-provider", "aws": {
	"accountId": "123456789012",
	"accessKeys": [{"id": "ASIAIOSFODNN7EXAMPLE", "secret": "a secret/of+AWS=", "sessionToken": "a+session/token==", "arn": "` + awsRole + `"}]
}}]}]}`

// awsMetadata returns the URL of a metadata server like that of AWS
// (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html): it answers
// only with a session token of its own.
func awsMetadata(t *testing.T) string {
	t.Helper()
	const session = "X-Aws-Ec2-Metadata-Token"
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /latest/api/token", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "session") })
	for path, content := range map[string]string{
		"/latest/meta-data/placement/availability-zone":     "us-east-2b",
		"/latest/meta-data/iam/security-credentials":        "worker",
		"/latest/meta-data/iam/security-credentials/worker": `{"AccessKeyId": "ASIAIOSFODNN7EXAMPLE", "SecretAccessKey": "a secret/of+AWS=", "Token": "a+session/token=="}`,
	} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get(session) != "session" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			_, _ = io.WriteString(w, content)
		})
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// withAWSFile runs a client with the directory of a credential file of AWS.
func (r *rig) withAWSFile(t *testing.T, client func(folder string) []string) []byte {
	t.Helper()
	folder, metadata := t.TempDir(), awsMetadata(t)+"/latest/"
	template, err := json.Marshal(map[string]any{
		"type": "external_account", "audience": "//iam.googleapis.com/" + awsPool + "/providers/aws-provider",
		"subject_token_type": "urn:ietf:params:aws:token-type:aws4_request", "token_url": "EMULATOR/v1/token",
		"credential_source": map[string]string{
			"environment_id": "aws1", "url": metadata + "meta-data/iam/security-credentials", "imdsv2_session_token_url": metadata + "api/token",
			"region_url":                     metadata + "meta-data/placement/availability-zone",
			"regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	fixture := filepath.Join(t.TempDir(), "aws.json")
	for file, content := range map[string][]byte{fixture: []byte(awsFixture), filepath.Join(folder, "template"): template} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.putState(t, awsFixture)
	writer := []string{"sh", "-c", `sed "s|EMULATOR|$GCP_METADATA_EMULATOR_URL|" "$1/template" >"$1/aws.json" && shift && exec "$@"`, "sh", folder}
	return r.execWith(t, []string{"--fixture", fixture}, append(writer, client(folder)...)...)
}

// putState gives the service's emulator another world, in which the principals of tokens exist.
func (r *rig) putState(t *testing.T, fixture string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, r.service+"/emulator/v1/state", bytes.NewReader([]byte(fixture)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusMultipleChoices {
		t.Fatalf("the state is answered with %s", response.Status)
	}
}

const awsPrincipal = "principal://iam.googleapis.com/" + awsPool + "/subject/" + awsRole

func TestGoAWS(t *testing.T) {
	r := newRig(t)
	got := report[map[string]struct {
		Auth, OAuth2           accessToken
		AuthError, OAuth2Error string
	}](t, r.withAWSFile(t, func(folder string) []string { return []string{r.stage.GoCloud, "files", folder} }))["aws"]
	if got.AuthError != "" || got.OAuth2Error != "" {
		t.Fatalf("auth: %s; x/oauth2: %s", got.AuthError, got.OAuth2Error)
	}
	r.checkFile(t, awsPrincipal, got.Auth.Value, got.Auth.Expiry)
	r.checkFile(t, awsPrincipal, got.OAuth2.Value, got.OAuth2.Expiry)
}

func TestPythonAWS(t *testing.T) {
	python, library := googleAuth(t)
	r := newRig(t)
	got := report[map[string]libraryToken](t, r.withAWSFile(t, func(folder string) []string {
		return []string{"env", "PYTHONPATH=" + library, "PYTHONDONTWRITEBYTECODE=1", python, "clients/python/files.py", folder}
	}))["aws"]
	if got.Error != "" {
		t.Fatal(got.Error)
	}
	r.checkFile(t, awsPrincipal, got.Value, got.Expiry)
}

func TestNodeAWS(t *testing.T) {
	needNode(t, theStage())
	r := newRig(t)
	got := report[map[string]libraryToken](t, r.withAWSFile(t, func(folder string) []string {
		return []string{r.stage.Node, nodeFolder + "/files.mjs", filepath.Join(folder, "aws.json")}
	}))["aws"]
	r.checkFile(t, awsPrincipal, got.Value, got.Expiry)
}

func TestGcloudAWS(t *testing.T) {
	r := newGcloudRig(t)
	got := r.withAWSFile(t, func(folder string) []string {
		return []string{"sh", "-c", `gcloud auth login --cred-file="$1/aws.json" && gcloud auth list --filter=status:ACTIVE --format='value(account)'`, "sh", folder}
	})
	if account := strings.TrimSpace(string(got)); account != awsPrincipal {
		t.Errorf("signed in as %q, want %q", account, awsPrincipal)
	}
}
