package world

import (
	"strings"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/iam"
)

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
