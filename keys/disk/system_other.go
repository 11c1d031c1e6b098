//go:build !unix

package disk

import (
	"errors"
	"io/fs"
)

const notWaiting = 0

// lock gives everybody a shared lock, and nobody an exclusive one: without locks, no process knows
// whether another process is writing.
func lock(_ string, kind Lock) (unlock func(), err error) {
	if kind == Exclusive {
		return nil, errors.ErrUnsupported
	}
	return func() {}, nil
}

// syncFolder does nothing: such systems do not sync folders.
func syncFolder(string) error { return nil }

// Exposure returns nothing: such systems do not have modes.
func Exposure(fs.FileInfo) string { return "" }

// isShared returns false: such systems do not have modes.
func isShared(fs.FileInfo) bool { return false }
