package keys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// vault keeps the encoded keys of a ring under slash-separated names.
type vault interface {
	// names lists the files of a folder.
	names(folder string) ([]string, error)
	// stamp is another number once the folder has another file, or changing.
	stamp(folder string) int64
	// read returns a file's content, or an error that is fs.ErrNotExist.
	read(name string) ([]byte, error)
	// create keeps data under a name that nobody has used yet. Where somebody was
	// faster, it keeps nothing and returns what they have kept.
	create(name string, data []byte) ([]byte, error)
	// path is the name as a person finds it.
	path(name string) string
}

// The stamps of a folder that may change without its stamp doing so, and of one that does
// not exist.
const (
	changing int64 = 0
	absent   int64 = -1
)

// Files are called by the number of a key, and what they say of it.
const (
	keySuffix       = ".pem"
	retiredSuffix   = ".retired"   // since when, in RFC 3339
	withdrawnSuffix = ".withdrawn" // empty
)

func fileName(folder string, number int, suffix string) string {
	return folder + "/" + strconv.Itoa(number) + suffix
}

// numberOf is the number of the key that a file with a suffix is about.
func numberOf(name, suffix string) (int, bool) {
	base, found := strings.CutSuffix(name, suffix)
	n, err := strconv.Atoi(base)
	return n, found && err == nil && n > 0 && strconv.Itoa(n) == base
}

// errClosed says that a process which is about to end keeps nothing more.
var errClosed = errors.New("the keys have been closed")

// closable is a vault that can be closed, so that a process does not end while a file is
// being written, and leave half of its work behind.
type closable struct {
	vault

	lasts  func() bool // whether keys that are made are to be kept
	mu     sync.Mutex
	closed bool
}

func (c *closable) create(name string, data []byte) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errClosed
	}
	return c.vault.create(name, data)
}

// close waits for a file that is being written; none is after it.
func (c *closable) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
}

// memory is a vault that keeps nothing.
type memory struct{}

func (memory) names(string) ([]string, error)               { return nil, nil }
func (memory) stamp(string) int64                           { return absent }
func (memory) read(string) ([]byte, error)                  { return nil, fs.ErrNotExist }
func (memory) create(_ string, data []byte) ([]byte, error) { return data, nil }
func (memory) path(name string) string                      { return name }

// directory is a vault of files that only their owner can read.
type directory string

func (d directory) path(name string) string {
	return filepath.Join(string(d), filepath.FromSlash(name))
}

func (d directory) names(folder string) ([]string, error) {
	entries, err := os.ReadDir(d.path(folder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, &FileError{Path: d.path(folder), Problem: "cannot be listed", Err: err}
	}
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name()
	}
	return names, nil
}

// stamp is the time of the folder's last change, unless another change may follow within
// what the file system takes for the same time.
func (d directory) stamp(folder string) int64 {
	const coarse = 2 * time.Second // of file systems without fractions of seconds
	info, err := os.Stat(d.path(folder))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return absent
	case err != nil || time.Since(info.ModTime()) < coarse:
		return changing
	default:
		return info.ModTime().UnixNano()
	}
}

func (d directory) read(name string) ([]byte, error) {
	data, err := os.ReadFile(d.path(name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, &FileError{Path: d.path(name), Problem: "cannot be read", Err: err}
	}
	return data, err
}

// create writes a temporary file and links it to its name: a link, unlike a rename, fails
// where the name is taken, so that a file is either whole or absent and never replaced.
func (d directory) create(name string, data []byte) ([]byte, error) {
	path := d.path(name)
	temporary, err := writeTemporary(filepath.Dir(path), data)
	if err != nil {
		return nil, &FileError{Path: path, Problem: "cannot be written", Err: err}
	}
	defer func() { _ = os.Remove(temporary) }() // its only other name is the kept one

	switch err := os.Link(temporary, path); {
	case errors.Is(err, fs.ErrExist):
		return d.read(name)
	case err != nil:
		return nil, &FileError{Path: path, Problem: "cannot be written", Err: err}
	}
	return data, nil
}

func writeTemporary(folder string, data []byte) (name string, err error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	file, err := os.CreateTemp(folder, ".new-*") // made with mode 0600
	if err != nil {
		return "", err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		_ = os.Remove(file.Name()) // the write's error is the one to tell
		return "", err
	}
	return file.Name(), nil
}

// FileError says which file of a state directory is the trouble.
type FileError struct {
	Path    string
	Problem string // what is wrong with it, as the end of a sentence
	Err     error
}

func (e *FileError) Error() string {
	return fmt.Sprintf("key file %q %s: %v", e.Path, e.Problem, e.Err)
}

func (e *FileError) Unwrap() error { return e.Err }

// Hint says what to do about it.
func (e *FileError) Hint() string {
	if _, isSystem := errors.AsType[syscall.Errno](e.Err); isSystem {
		return "the directory has to be one where files can be written: name another with --state-dir, or run with --ephemeral"
	}
	return "restore the file from a copy, or delete it to have a new one made; or run with --ephemeral or another --state-dir"
}
