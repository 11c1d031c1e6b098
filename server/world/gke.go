package world

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/iam"
)

// gkeMetadata is what a pod of a GKE cluster with Workload Identity can read: little of the
// node that it runs on, and the cluster
// (https://cloud.google.com/kubernetes-engine/docs/concepts/workload-identity#metadata_server).
func gkeMetadata(w *World, f fixtures.Instance, accounts []AttachedAccount) map[string]any {
	const cluster = "demo-cluster"
	uid := sha256.Sum256([]byte("cluster-uid:" + w.Project.ID + "/" + cluster))
	return map[string]any{
		"instance": map[string]any{
			"attributes": map[string]any{
				"cluster-location": f.Zone,
				"cluster-name":     cluster,
				"cluster-uid":      hex.EncodeToString(uid[:]),
			},
			"hostname":        zonalName(f.Name, f.Zone, w.Project.ID),
			"id":              jsonNumber(inventedInstanceID(w.Project.ID, f.Name)),
			"serviceAccounts": serviceAccounts(accounts),
			"zone":            zone(w.Project.Number, f.Zone),
		},
		"project": projectIDs(w),
	}
}

// workloadPool ends the name of a project's workload identity pool, which stands in the
// place of an e-mail address.
const workloadPool = ".svc.id.goog"

func isWorkloadPool(email string) bool {
	return strings.HasSuffix(email, workloadPool) && !strings.Contains(email, "@")
}

// workloadAccount is who a pod is whose Kubernetes service account is annotated with no
// Google service account: a member of the project's workload identity pool.
func workloadAccount(w *World, kubernetes string) AttachedAccount {
	pool := fixtures.Dotted(w.Project.ID) + workloadPool
	principal := pool + "[" + kubernetes + "]"
	return AttachedAccount{
		Account:    &ServiceAccount{Email: principal, UniqueID: inventedID(principal), MaxTokenLifetime: DefaultTokenLifetime},
		Email:      pool,
		Kubernetes: kubernetes,
		Aliases:    []string{"default"},
		Scopes:     []string{iam.CloudPlatform},
	}
}

// HasPod tells whether a principal is a pod of the world, which is no service account of its
// project.
func (w *World) HasPod(p iam.Principal) bool {
	for _, instance := range w.Instances {
		for _, attached := range instance.ServiceAccounts {
			if attached.Kubernetes != "" && attached.Account.UniqueID == p.ID {
				return true
			}
		}
	}
	return false
}
