//go:build !unix

package cli

import (
	"errors"
	"os"
)

// lockFolder locks nothing: a directory of a run that was killed stays.
func lockFolder(string) (*os.File, error) { return nil, errors.ErrUnsupported }
