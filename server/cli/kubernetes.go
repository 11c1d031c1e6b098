//go:build cluster

package cli

import (
	"context"
	"errors"
	"fmt"

	"gcp-metadata-emulator/server/control"
	"gcp-metadata-emulator/server/kubernetes"
	"gcp-metadata-emulator/server/metrics"
	"gcp-metadata-emulator/server/world"
)

// connect prepares to watch a cluster, if the flags name one.
func (e *emulator) connect(f kubernetesFlags) error {
	if err := f.misused(); err != nil || !f.Kubernetes {
		return err
	}
	client, err := kubernetes.Connect(f.Kubeconfig)
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
	pods := &world.Pods{}
	watcher := kubernetes.New(kubernetes.Config{
		Pods: client.Pods(f.Node), Accounts: client.Accounts(), Into: pods, Logger: e.logger, Node: f.Node,
		Changed: func() { e.server.FollowPods() },
	})
	issuer := kubernetes.NewIssuer(client.Read, e.logger)
	run := func(ctx context.Context) {
		go issuer.Refresh(ctx)
		watcher.Run(ctx)
	}
	e.cluster = &cluster{finds: watcher, pods: pods, keys: issuer, run: run, part: control.Part{Health: watcher.Health, Readings: []metrics.Reading{
		{Name: "kubernetes_addresses", Help: "Addresses of the pods of the cluster that is watched.", Value: func() float64 { return float64(watcher.Addresses()) }},
		{Name: "kubernetes_watches_lost", Help: "Watches of the cluster (pods, service accounts) that hear nothing.", Value: func() float64 { return float64(watcher.Lost()) }},
	}}}
	return nil
}
