//go:build !unix

package cli

import (
	"errors"
	"io/fs"
	"os"
)

// lockFile locks nothing: a directory of a run that was killed stays.
func lockFile(string) (*os.File, error) { return nil, errors.ErrUnsupported }

// isPrivate tells of nothing that it is: there are no locks to go by.
func isPrivate(fs.FileInfo) bool { return false }
