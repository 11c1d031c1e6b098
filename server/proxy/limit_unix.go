//go:build unix

package proxy

import "syscall"

// fileLimit returns the limit on the process's file descriptors.
func fileLimit() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return usualFileLimit
	}
	return uint64(limit.Cur) //nolint:gosec,unconvert // the type differs between systems; the value is never negative
}
