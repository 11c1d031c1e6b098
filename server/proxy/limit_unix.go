//go:build unix

package proxy

import "syscall"

// fileLimit is how many file descriptors the process may have.
func fileLimit() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return usualFileLimit
	}
	return uint64(limit.Cur) //nolint:gosec,unconvert // it is of another type on some systems, and never negative
}
