//go:build unix

package disk

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// notWaiting makes opening a pipe return at once.
const notWaiting = syscall.O_NONBLOCK

// lock locks a folder itself, so the lock needs no file.
func lock(folder string, kind Lock) (unlock func(), err error) {
	file, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	unlock = func() { _ = file.Close() } // nothing was written
	how := syscall.LOCK_SH
	if kind == Exclusive {
		how = syscall.LOCK_EX | syscall.LOCK_NB
	}
	for {
		err := syscall.Flock(int(file.Fd()), how)
		switch {
		case err == nil:
			return unlock, nil
		case errors.Is(err, syscall.EINTR):
			continue
		case kind == Shared:
			return unlock, nil // a file system without locks, which no process cleans up
		}
		unlock()
		return nil, os.NewSyscallError("flock", err)
	}
}

// syncFolder returns no error if the file system cannot sync folders: it offers no other way.
func syncFolder(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // nothing was written
	if err := file.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
		return err
	}
	return nil
}

// Exposure says how other users can change a file or folder, such as "everybody can change it". It
// is empty if they cannot.
func Exposure(info fs.FileInfo) string {
	owner, ok := info.Sys().(*syscall.Stat_t)
	const group, others = 0o020, 0o002
	switch mode := info.Mode(); {
	case !ok:
		return ""
	case mode&others != 0:
		return "everybody can change it"
	case mode&group != 0:
		return "its group can change it"
	case owner.Uid != 0 && int(owner.Uid) != os.Geteuid():
		return "it belongs to another user"
	}
	return ""
}

// isShared reports whether everybody can write to a folder.
func isShared(folder fs.FileInfo) bool {
	const others = 0o002
	return folder.Mode()&others != 0
}
