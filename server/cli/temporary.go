package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// temporary is a directory for the files of one run of exec.
type temporary struct {
	path string
	mark *os.File // locked while the directory is in use; nil if the system has no locks
}

// The prefix of such a directory's name, and the file that marks it. A directory is stale if its
// mark exists and no process has locked it.
const (
	temporaryPrefix = program + "-exec-"
	temporaryMark   = ".made-by-" + program + "-exec"
)

// newTemporary makes a temporary directory, and removes the directories of killed runs.
func newTemporary() (*temporary, error) {
	removeStale()
	path, err := os.MkdirTemp("", temporaryPrefix) // creates it with mode 0700
	if err != nil {
		return nil, fmt.Errorf("make a temporary directory: %w", err)
	}
	mark, err := markFolder(path)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		_ = os.RemoveAll(path) // the earlier error is the one to report
		return nil, fmt.Errorf("mark the temporary directory %q: %w", path, err)
	}
	return &temporary{path: path, mark: mark}, nil
}

// markFolder marks a directory as in use until the file is closed or this program ends. The mark
// gets its final name once it is locked, so that no other run takes the directory for stale.
func markFolder(path string) (*os.File, error) {
	unlocked := filepath.Join(path, ".new")
	const private = 0o600
	if err := os.WriteFile(unlocked, nil, private); err != nil {
		return nil, err
	}
	mark, err := lockFile(unlocked)
	if err != nil {
		return nil, errors.Join(err, os.Remove(unlocked))
	}
	if err := os.Rename(unlocked, filepath.Join(path, temporaryMark)); err != nil {
		_ = mark.Close() // nothing was written
		return nil, err
	}
	return mark, nil
}

// remove deletes the directory and its content.
func (t *temporary) remove() {
	_ = os.RemoveAll(t.path) // the next run removes the rest
	_ = t.mark.Close()       // nothing was written
}

// removeStale removes marked directories of the present user that no run uses. It keeps all other
// directories.
func removeStale() {
	paths, _ := filepath.Glob(filepath.Join(os.TempDir(), temporaryPrefix+"*")) // fails only if TMPDIR is a malformed pattern
	for _, path := range paths {
		mark := filepath.Join(path, temporaryMark)
		folder, folderErr := os.Lstat(path)
		file, fileErr := os.Lstat(mark)
		if errors.Join(folderErr, fileErr) != nil || !isPrivate(folder) || !file.Mode().IsRegular() {
			continue
		}
		if lock, err := lockFile(mark); err == nil {
			_ = os.RemoveAll(path) // another run removes the rest
			_ = lock.Close()       // nothing was written
		}
	}
}
