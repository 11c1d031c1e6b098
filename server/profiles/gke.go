package profiles

import (
	"crypto/sha256"
	"encoding/hex"
)

// gke returns the metadata of a pod of a GKE cluster with Workload Identity: a few entries of its
// node, and the cluster
// (https://cloud.google.com/kubernetes-engine/docs/concepts/workload-identity#metadata_server).
func (w Workload) gke() map[string]any {
	const cluster = "demo-cluster"
	uid := sha256.Sum256([]byte("cluster-uid:" + w.Project.ID + "/" + cluster))
	return map[string]any{
		"instance": map[string]any{
			"attributes": map[string]any{
				"cluster-location": w.Zone,
				"cluster-name":     cluster,
				"cluster-uid":      hex.EncodeToString(uid[:]),
			},
			"hostname":        w.zonalName(),
			"id":              number(w.ID),
			"serviceAccounts": w.serviceAccounts(),
			"zone":            w.zone(w.Zone),
		},
		"project": w.projectIDs(),
	}
}
