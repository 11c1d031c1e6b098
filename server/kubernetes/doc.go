// Package kubernetes watches the pods and the Kubernetes service accounts of a cluster, so that the
// emulator knows which pod asks for metadata.
//
// It owns the connection to the cluster's API server, the watches, the pods' addresses, and the keys of
// the cluster's tokens. It does not decide about a pod's metadata: package server/world does. Only the
// build with the tag "cluster" has the package's code, because the libraries of Kubernetes make the
// program larger and slower to start.
package kubernetes
