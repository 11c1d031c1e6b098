// Package kubernetes checks the emulator in a Kubernetes cluster, and the manifests for one.
//
// It is a module of its own, so that the types of all Kubernetes APIs stay out of the emulator's
// dependencies. Its tests need the build tag "cluster". They run with an API server that the
// test plays, and also with a real one if the variable KUBE_APISERVER names one.
package kubernetes
