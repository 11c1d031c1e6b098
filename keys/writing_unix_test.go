//go:build unix

package keys_test

import (
	"os"
	"syscall"
	"testing"
)

// writing holds the lock of a process that writes, until the result is called.
func writing(t *testing.T, dir string) (unlock func()) {
	t.Helper()
	file, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	return func() { file.Close() }
}
