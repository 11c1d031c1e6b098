//go:build !unix

package proxy

// fileLimit is how many file descriptors the process may have, as far as that is known.
func fileLimit() uint64 { return usualFileLimit }
