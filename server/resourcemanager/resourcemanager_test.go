package resourcemanager_test

import (
	"net/http"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/emulatortest"
)

// Under --strict each method takes its permission.
func TestPermissions(t *testing.T) {
	t.Parallel()
	emulatortest.CheckAllowed(t, []emulatortest.Method{
		{Name: "get", Call: "GET /v1/projects/demo-project"},
		{Name: "getAncestry", Call: "POST /v1/projects/demo-project:getAncestry"},
		{Name: "getIamPolicy", Call: "POST /v1/projects/demo-project:getIamPolicy"},
		{Name: "setIamPolicy", Call: "POST /v1/projects/demo-project:setIamPolicy", Body: `{"policy":{}}`},
	}, map[string][]string{
		"roles/iam.serviceAccountViewer":   {"getIamPolicy"},
		"roles/iam.serviceAccountKeyAdmin": nil,
		"roles/iam.serviceAccountAdmin":    nil,
		"roles/compute.viewer":             {"get", "getAncestry"},
		"roles/iam.securityAdmin":          {"get", "getAncestry", "getIamPolicy", "setIamPolicy"},
	})
}

// Under --strict a list has the projects that the caller may see.
func TestListIsOfTheCaller(t *testing.T) {
	t.Parallel()
	for role, want := range map[string]bool{"roles/compute.viewer": true, "roles/iam.serviceAccountAdmin": false} {
		for _, call := range []string{"/v1/projects", "/v3/projects:search"} {
			e := emulatortest.NewStrict(t)
			bearer := e.SetProjectRole(t, role, "far")
			got := e.Exchange(t, "GET "+call+"\nAuthorization: Bearer "+bearer+"\n\n")
			if got.Status != http.StatusOK || strings.Contains(got.Body, `"demo-project"`) != want {
				t.Errorf("%s to %s: %d %s", call, role, got.Status, got.Body)
			}
		}
	}
}
