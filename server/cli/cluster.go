package cli

import (
	"context"
	"errors"

	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/control"
	"gcp-metadata-emulator/server/sts"
	"gcp-metadata-emulator/server/workloads"
	"gcp-metadata-emulator/server/world"
)

// kubernetesFlags holds the flags that make pods of a cluster instances. Every build has them, but
// only the build with the tag "cluster" accepts them.
type kubernetesFlags struct {
	Kubernetes bool   `help:"An instance for each pod of a Kubernetes cluster, known by its address: a request gets the identity of the pod's Kubernetes service account. Needs the build with the tag \"cluster\"."`
	Kubeconfig string `type:"path" placeholder:"FILE" help:"With --kubernetes: file that leads to the API server, and what proves this program's identity there (default: those of the pod that this program runs in)."`
	Node       string `placeholder:"NAME" help:"With --kubernetes: only the pods of this node (default: the pods of all nodes)."`
}

// misused returns a usage error if there are flags about a cluster, and no cluster.
func (f kubernetesFlags) misused() error {
	switch {
	case f.Kubernetes:
		return nil
	case f.Kubeconfig != "":
		return &usageError{errors.New("--kubeconfig leads to a Kubernetes cluster, which only --kubernetes watches: add it")}
	case f.Node != "":
		return &usageError{errors.New("--node names a node of a Kubernetes cluster, which only --kubernetes watches: add it")}
	}
	return nil
}

// cluster is a Kubernetes cluster. Its pods are instances. Nil stands for no cluster.
type cluster struct {
	finds workloads.Pods
	pods  *world.Pods
	keys  sts.Cluster
	part  control.Part
	run   func(ctx context.Context) // follows the cluster until ctx ends
}

// configure makes an emulator know the pods of the cluster.
func (c *cluster) configure(config *server.Config) {
	if c == nil {
		return
	}
	config.Workloads.Pods, config.Pods = c.finds, c.pods
	config.Cluster = c.keys
	config.Parts = append(config.Parts, c.part)
}

// follow follows the cluster until ctx ends. The emulator must have been made.
func (c *cluster) follow(ctx context.Context) {
	if c != nil {
		go c.run(ctx)
	}
}
