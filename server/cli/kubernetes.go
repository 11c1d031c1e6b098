//go:build cluster

package cli

import (
	"errors"
	"fmt"

	"gcp-metadata-emulator/server/kubernetes"
)

// connect makes a client of the cluster's API server, if there is a cluster to watch.
func (f kubernetesFlags) connect() error {
	if err := f.misused(); err != nil || !f.Kubernetes {
		return err
	}
	_, err := kubernetes.Connect(f.Kubeconfig)
	switch {
	case errors.Is(err, kubernetes.ErrNoCluster):
		return &hintError{
			message: fmt.Sprintf("cannot watch a Kubernetes cluster: %v", err),
			hint:    "name a file that leads to a cluster with --kubeconfig FILE", cause: err,
		}
	case err != nil:
		return &hintError{
			message: fmt.Sprintf("cannot watch the Kubernetes cluster of %q: %v", f.Kubeconfig, err),
			hint:    "check the file with: kubectl --kubeconfig FILE get pods", cause: err,
		}
	}
	return nil
}
