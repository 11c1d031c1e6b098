package world

import (
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"strings"

	"gcp-metadata-emulator/fixtures"
)

// serverlessMetadata is what Cloud Run, Cloud Functions and App Engine serve
// (https://cloud.google.com/run/docs/container-contract#metadata-server). They run in
// regions: what they call a zone is the region and "-1".
func serverlessMetadata(w *World, f fixtures.Instance, accounts []AttachedAccount) map[string]any {
	region := f.Zone
	if end := strings.LastIndexByte(region, '-'); end >= 0 {
		region = region[:end]
	}
	return map[string]any{
		"instance": map[string]any{
			"id":              containerID(w.Project.ID, f.Name),
			"region":          fmt.Sprintf("projects/%d/regions/%s", w.Project.Number, region),
			"serviceAccounts": serviceAccounts(accounts),
			"zone":            zone(w.Project.Number, region+"-1"),
		},
		"project": projectIDs(w),
	}
}

// containerID is the ID of a container instance: unlike that of a VM, a text of hexadecimal
// digits, which begins with "00".
func containerID(project, name string) string {
	sum := sha512.Sum512([]byte("container-id:" + project + "/" + name))
	return "00" + hex.EncodeToString(sum[:])
}
