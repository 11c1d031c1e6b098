//go:build unix

package cli

import (
	"io/fs"
	"os"
	"syscall"
)

// lockFile locks a file until it is closed or this program ends. It fails if another process
// holds the lock.
func lockFile(path string) (*os.File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close() // nothing was read
		return nil, os.NewSyscallError("flock", err)
	}
	return file, nil
}

// isPrivate reports whether info describes a directory, not a link, of the present user, and no
// other user can change it.
func isPrivate(info fs.FileInfo) bool {
	owner, ok := info.Sys().(*syscall.Stat_t)
	const writable = 0o022 // by others
	return ok && info.IsDir() && info.Mode()&writable == 0 && int(owner.Uid) == os.Geteuid()
}
