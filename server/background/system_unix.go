//go:build unix

package background

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// apart returns the attributes of a process that survives the terminal.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// hold locks a file until the process ends. It waits while somebody looks whether the file is held.
func hold(path string) (io.Closer, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX)
		if err == nil {
			return file, nil
		}
		if !errors.Is(err, syscall.EINTR) {
			_ = file.Close() // the earlier error is the one to report
			return nil, os.NewSyscallError("flock", err)
		}
	}
}

// isHeld reports whether a process holds a file.
func isHeld(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = file.Close() }() // nothing was read
	return errors.Is(syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

// end asks a process to end.
func end(process *os.Process) error { return process.Signal(syscall.SIGTERM) }

// isPrivate reports whether a directory, not a link, belongs to the present user and no other user
// can change it.
func isPrivate(dir string) bool {
	info, err := os.Lstat(dir)
	if err != nil {
		return false
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	const writable = 0o022 // by others
	return ok && info.IsDir() && info.Mode()&writable == 0 && int(owner.Uid) == os.Geteuid()
}
