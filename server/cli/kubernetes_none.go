//go:build !cluster

package cli

// connect refuses to watch a cluster.
func (e *emulator) connect(f kubernetesFlags) error {
	if err := f.misused(); err != nil || !f.Kubernetes {
		return err
	}
	return needsCluster("--kubernetes")
}
