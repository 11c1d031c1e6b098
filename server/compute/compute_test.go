package compute_test

import (
	"testing"

	"gcp-metadata-emulator/server/emulatortest"
)

// Under --strict each method takes its permission.
func TestPermissions(t *testing.T) {
	t.Parallel()
	emulatortest.CheckAllowed(t, []emulatortest.Method{
		{Name: "list", Call: "GET /compute/v1/projects/demo-project/zones/us-central1-a/instances"},
		{Name: "get", Call: "GET /compute/v1/projects/demo-project/zones/us-central1-a/instances/demo-vm"},
	}, map[string][]string{
		"roles/iam.serviceAccountViewer":   nil,
		"roles/iam.serviceAccountKeyAdmin": nil,
		"roles/iam.serviceAccountAdmin":    nil,
		"roles/compute.viewer":             {"list", "get"},
		"roles/iam.securityAdmin":          nil,
	})
}
