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
		{Name: "aggregatedList", Call: "GET /compute/v1/projects/demo-project/aggregated/instances"},
		{Name: "zones", Call: "GET /compute/v1/projects/demo-project/zones"},
		{Name: "zone", Call: "GET /compute/v1/projects/demo-project/zones/us-central1-a"},
		{Name: "regions", Call: "GET /compute/v1/projects/demo-project/regions"},
		{Name: "region", Call: "GET /compute/v1/projects/demo-project/regions/us-central1"},
		{Name: "groups", Call: "GET /compute/v1/projects/demo-project/zones/us-central1-a/instanceGroups"},
		{Name: "aggregatedGroups", Call: "GET /compute/v1/projects/demo-project/aggregated/instanceGroups"},
		{Name: "group", Call: "GET /compute/v1/projects/demo-project/zones/us-central1-a/instanceGroups/web"},
		{Name: "members", Call: "POST /compute/v1/projects/demo-project/zones/us-central1-a/instanceGroups/web/listInstances"},
		{Name: "project", Call: "GET /compute/v1/projects/demo-project"},
		{Name: "get", Call: "GET /compute/v1/projects/demo-project/zones/us-central1-a/instances/demo-vm"},
	}, map[string][]string{
		"roles/iam.serviceAccountViewer":   nil,
		"roles/iam.serviceAccountKeyAdmin": nil,
		"roles/iam.serviceAccountAdmin":    nil,
		"roles/compute.viewer":             {"list", "aggregatedList", "zones", "zone", "regions", "region", "groups", "aggregatedGroups", "group", "members", "project", "get"},
		"roles/iam.securityAdmin":          nil,
	})
}
