package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// temporary is a directory for what is only for one run of exec.
type temporary struct {
	path string
	mark *os.File // locked while the directory is in use; nil where there are no locks
}

// The names of such a directory, and of the file by which a later run knows it for one of ours. Only
// a mark that nobody has locked makes it a stale one.
const (
	temporaryPrefix = program + "-exec-"
	temporaryMark   = ".made-by-" + program + "-exec"
)

// newTemporary makes one, and removes those of runs that were killed and could not do so.
func newTemporary() (*temporary, error) {
	removeStale()
	path, err := os.MkdirTemp("", temporaryPrefix) // with mode 0700
	if err != nil {
		return nil, fmt.Errorf("make a temporary directory: %w", err)
	}
	mark, err := markFolder(path)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		_ = os.RemoveAll(path) // the other error is the one to tell
		return nil, fmt.Errorf("mark the temporary directory %q: %w", path, err)
	}
	return &temporary{path: path, mark: mark}, nil
}

// markFolder marks a directory as one of ours, which is in use until the file is closed or this
// program ends. The mark gets its name when it is locked: before that nobody takes it for a stale one.
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
		_ = mark.Close() // it was never written to
		return nil, err
	}
	return mark, nil
}

// remove removes it with all that is in it.
func (t *temporary) remove() {
	_ = os.RemoveAll(t.path) // what is left the next run removes
	_ = t.mark.Close()       // it was never written to
}

// removeStale removes the directories of the present user that runs have marked and no run uses any
// more. Others stay, whatever their names are.
func removeStale() {
	paths, _ := filepath.Glob(filepath.Join(os.TempDir(), temporaryPrefix+"*")) // a strange name of the directory finds nothing
	for _, path := range paths {
		mark := filepath.Join(path, temporaryMark)
		folder, folderErr := os.Lstat(path)
		file, fileErr := os.Lstat(mark)
		if errors.Join(folderErr, fileErr) != nil || !isPrivate(folder) || !file.Mode().IsRegular() {
			continue
		}
		if lock, err := lockFile(mark); err == nil {
			_ = os.RemoveAll(path) // what is left another run removes
			_ = lock.Close()       // it was never written to
		}
	}
}
