//go:build !unix

package proxy

// fileLimit returns an assumed limit on the process's file descriptors.
func fileLimit() uint64 { return usualFileLimit }
