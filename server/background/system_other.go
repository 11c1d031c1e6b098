//go:build !unix && !windows

package background

import (
	"errors"
	"io"
	"os"
	"syscall"
)

func apart() *syscall.SysProcAttr { return nil }

// hold always fails: without locks, no process can be told from another with the same ID.
func hold(string) (io.Closer, error) { return nil, errors.ErrUnsupported }

func isHeld(string) bool { return false }

func end(*os.Process) error { return errors.ErrUnsupported }

func isPrivate(string) bool { return false }
