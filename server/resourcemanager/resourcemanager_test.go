package resourcemanager_test

import (
	"testing"

	"gcp-metadata-emulator/server/emulatortest"
)

// Under --strict each method takes its permission.
func TestPermissions(t *testing.T) {
	t.Parallel()
	emulatortest.CheckAllowed(t, []emulatortest.Method{
		{Name: "get", Call: "GET /v1/projects/demo-project"},
		{Name: "getIamPolicy", Call: "POST /v1/projects/demo-project:getIamPolicy"},
		{Name: "setIamPolicy", Call: "POST /v1/projects/demo-project:setIamPolicy", Body: `{"policy":{}}`},
	}, map[string][]string{
		"roles/iam.serviceAccountViewer":   {"getIamPolicy"},
		"roles/iam.serviceAccountKeyAdmin": nil,
		"roles/iam.serviceAccountAdmin":    nil,
		"roles/compute.viewer":             {"get"},
		"roles/iam.securityAdmin":          {"get", "getIamPolicy", "setIamPolicy"},
	})
}
