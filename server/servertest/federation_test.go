package servertest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/servertest"
	"gcp-metadata-emulator/server/token"
)

// send posts a message in JSON with an access token, or without credentials if bearer is empty. It
// returns the status and the members of the answer.
func send(t *testing.T, emu *servertest.Emulator, bearer, url string, message any) (status int, answer map[string]any) {
	t.Helper()
	body, err := json.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	response, err := emu.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Errorf("%s is answered with %s, which is not JSON: %v", url, response.Status, err)
	}
	return response.StatusCode, answer
}

// A Kubernetes service account of a pod's cluster impersonates the Google service account whose
// policy names it, as the clients of GKE and of fleets do.
func TestClustersImpersonate(t *testing.T) {
	t.Parallel()
	emu := servertest.New(t, servertest.Strict(), servertest.YAML(`
serviceAccounts: [{email: worker@demo-project.iam.gserviceaccount.com}]
instances: [{name: pod, profile: gke}]
policies:
  - resource: serviceAccounts/worker@demo-project.iam.gserviceaccount.com
    bindings: [{role: roles/iam.workloadIdentityUser, members: ["serviceAccount:demo-project.svc.id.goog[web/front]"]}]
`))
	const cluster = "https://container.googleapis.com/v1/projects/demo-project/locations/us-central1-a/clusters/demo-cluster"
	for _, url := range []string{
		"https://securetoken.googleapis.com/v1/identitybindingtoken",
		"https://sts.googleapis.com/v1/token",
		"https://sts.googleapis.com/v1beta/token",
	} {
		for subject, want := range map[string]int{
			"system:serviceaccount:web:front": http.StatusOK, "system:serviceaccount:web:back": http.StatusForbidden,
		} {
			status, federated := send(t, emu, "", url, map[string]string{
				"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "scope": "https://www.googleapis.com/auth/cloud-platform",
				"requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
				"subject_token_type":   "urn:ietf:params:oauth:token-type:jwt",
				"audience":             "identitynamespace:demo-project.svc.id.goog:" + cluster,
				"subject_token": emu.Mint(servertest.Order{
					Kind: token.KindID, Audience: "demo-project.svc.id.goog", Claims: map[string]any{"iss": cluster, "sub": subject},
				}),
			})
			if status != http.StatusOK {
				t.Fatalf("%s is answered with %d", url, status)
			}
			access, _ := federated["access_token"].(string)
			status, _ = send(t, emu, access, generate+"worker@demo-project.iam.gserviceaccount.com:generateAccessToken",
				map[string]any{"scope": []string{"https://www.googleapis.com/auth/cloud-platform"}})
			if status != want {
				t.Errorf("%s, token of %s: generateAccessToken is answered with %d, want %d", url, subject, status, want)
			}
		}
	}
}
