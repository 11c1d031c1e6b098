//go:build unix

package cli

import (
	"os"
	"syscall"
)

// lockFolder locks a directory until the file is closed, or this program ends. It is an error
// where another one has locked it.
func lockFolder(path string) (*os.File, error) {
	folder, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(folder.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = folder.Close() // it was not even read
		return nil, os.NewSyscallError("flock", err)
	}
	return folder, nil
}
