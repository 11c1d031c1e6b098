// Package kubernetes checks the emulator in a Kubernetes cluster, and the manifests for one.
//
// It is a module of its own, so that the types of all Kubernetes APIs stay out of the emulator's
// dependencies. Its tests need the build tag "cluster". They run against a fake API server, and also
// against a real one if scripts/kubernetes/apiserver has built it.
package kubernetes
