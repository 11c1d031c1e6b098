//go:build !cluster

package cli

import "fmt"

// needsCluster returns the error for a flag that only the build with the tag "cluster" accepts.
func needsCluster(flag string) error {
	return &usageError{&hintError{
		message: fmt.Sprintf("%q needs a build with the tag \"cluster\", and this is the default build, which has no clients of Kubernetes and etcd", flag),
		hint:    "make the other build with: go build -tags cluster, or: docker build --target cluster",
	}}
}
