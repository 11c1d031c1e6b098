//go:build cluster

package cli_test

// isForClusters reports whether this is the build with the tag "cluster".
const isForClusters = true
