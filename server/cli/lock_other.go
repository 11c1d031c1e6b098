//go:build !unix

package cli

import (
	"errors"
	"io/fs"
	"os"
)

// lockFile always fails, so directories of killed runs are never removed.
func lockFile(string) (*os.File, error) { return nil, errors.ErrUnsupported }

// isPrivate returns false, because this system has no locks to rely on.
func isPrivate(fs.FileInfo) bool { return false }
