package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// temporary is a directory for what is only for one run. It is locked while it is in use.
type temporary struct {
	path string
	lock *os.File // nil where there are no locks
}

// newTemporary makes one, and removes those of runs that were killed and could not do so.
func newTemporary() (*temporary, error) {
	removeStale()
	path, err := os.MkdirTemp("", program+"-")
	if err != nil {
		return nil, fmt.Errorf("make a temporary directory: %w", err)
	}
	lock, err := lockFolder(path)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		_ = os.RemoveAll(path) // the other error is the one to tell
		return nil, fmt.Errorf("lock the temporary directory %q: %w", path, err)
	}
	return &temporary{path: path, lock: lock}, nil
}

// remove removes it with all that is in it.
func (t *temporary) remove() {
	_ = os.RemoveAll(t.path) // what is left the next run removes
	_ = t.lock.Close()       // it was never written to
}

// justMade is how old a directory may be at most that is not locked yet.
const justMade = time.Minute

// removeStale removes the directories that nobody has locked.
func removeStale() {
	paths, _ := filepath.Glob(filepath.Join(os.TempDir(), program+"-*")) // a strange name of the directory finds nothing
	for _, path := range paths {
		if info, err := os.Stat(path); err != nil || time.Since(info.ModTime()) < justMade {
			continue
		}
		if lock, err := lockFolder(path); err == nil {
			_ = os.RemoveAll(path) // it may be another user's
			_ = lock.Close()       // it was never written to
		}
	}
}
