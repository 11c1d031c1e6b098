package profiles

import (
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"strings"
)

// serverless returns the metadata of Cloud Run, Cloud Functions and App Engine
// (https://cloud.google.com/run/docs/container-contract#metadata-server). They run in
// regions; the zone that they name is the region followed by "-1".
func (w Workload) serverless() map[string]any {
	region := w.Zone
	if end := strings.LastIndexByte(region, '-'); end >= 0 {
		region = region[:end]
	}
	return map[string]any{
		"instance": map[string]any{
			"id":              w.containerID(),
			"region":          fmt.Sprintf("projects/%d/regions/%s", w.Project.Number, region),
			"serviceAccounts": w.serviceAccounts(),
			"zone":            w.zone(region + "-1"),
		},
		"project": w.projectIDs(),
	}
}

// containerID returns the ID of a container instance. Unlike the ID of a VM, it is a text of
// hexadecimal digits, which begins with "00".
func (w Workload) containerID() string {
	sum := sha512.Sum512([]byte("container-id:" + w.Project.ID + "/" + w.Name))
	return "00" + hex.EncodeToString(sum[:])
}
