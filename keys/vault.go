package keys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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
	// stamp returns a number that changes if the folder gets another file, or changing if it
	// cannot detect changes.
	stamp(folder string) int64
	// read returns a file's content. The error is fs.ErrNotExist if there is no such file.
	read(name string) ([]byte, error)
	// create stores data under a new name. If the name is taken, it stores nothing and returns
	// the existing content.
	create(name string, data []byte) ([]byte, error)
	// prune removes the oldest files of a folder, until it has at most the given number.
	prune(folder string, most int) error
	// path returns the name as a person finds it on disk.
	path(name string) string
}

// Special stamps: of a folder that may change again without a new stamp, and of a folder that
// does not exist.
const (
	changing int64 = 0
	absent   int64 = -1
)

// A file's name is the number of its key and one of these suffixes.
const (
	keySuffix       = ".pem"
	retiredSuffix   = ".retired"   // content: the time of the retirement, in RFC 3339
	withdrawnSuffix = ".withdrawn" // no content
)

func fileName(folder string, number int, suffix string) string {
	return folder + "/" + strconv.Itoa(number) + suffix
}

// numberOf returns the key's number from the name of a file with the given suffix.
func numberOf(name, suffix string) (int, bool) {
	base, found := strings.CutSuffix(name, suffix)
	n, err := strconv.Atoi(base)
	return n, found && err == nil && n > 0 && strconv.Itoa(n) == base
}

// errClosed reports a write after the vault was closed.
var errClosed = errors.New("the keys have been closed")

// closable adds close to a vault, so that a process does not end in the middle of a write.
type closable struct {
	vault

	lasts  func() bool // reports whether to keep new keys
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

// close waits for the current write, and prevents later writes.
func (c *closable) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
}

// memory is a vault without storage.
type memory struct{}

func (memory) names(string) ([]string, error)               { return nil, nil }
func (memory) stamp(string) int64                           { return absent }
func (memory) read(string) ([]byte, error)                  { return nil, fs.ErrNotExist }
func (memory) create(_ string, data []byte) ([]byte, error) { return data, nil }
func (memory) prune(string, int) error                      { return nil }
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

// stamp returns the folder's modification time. It returns changing if a further change could
// still get the same modification time.
func (d directory) stamp(folder string) int64 {
	const coarse = 2 * time.Second // for file systems that store times in whole or even seconds
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

// create writes a temporary file and links it to its name. Unlike a rename, a link fails if the
// name exists. A file is therefore either whole or absent, and is never replaced.
func (d directory) create(name string, data []byte) ([]byte, error) {
	path := d.path(name)
	temporary, err := writeTemporary(filepath.Dir(path), data)
	if err != nil {
		return nil, &FileError{Path: path, Problem: "cannot be written", Err: err}
	}
	defer func() { _ = os.Remove(temporary) }() // the file keeps its other name, path

	switch err := os.Link(temporary, path); {
	case errors.Is(err, fs.ErrExist):
		return d.read(name)
	case err != nil:
		return nil, &FileError{Path: path, Problem: "cannot be written", Err: err}
	}
	return data, nil
}

// prune goes by the files' modification times.
func (d directory) prune(folder string, most int) error {
	names, err := d.names(folder)
	if err != nil || len(names) <= most {
		return err
	}
	ages := map[string]time.Time{}
	for _, name := range names {
		if info, err := os.Stat(d.path(folder + "/" + name)); err == nil { // another process may have removed it
			ages[name] = info.ModTime()
		}
	}
	slices.SortFunc(names, func(a, b string) int { return ages[a].Compare(ages[b]) })
	for _, name := range names[:len(names)-most] {
		if err := os.Remove(d.path(folder + "/" + name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return &FileError{Path: d.path(folder + "/" + name), Problem: "cannot be removed", Err: err}
		}
	}
	return nil
}

func writeTemporary(folder string, data []byte) (name string, err error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	file, err := os.CreateTemp(folder, ".new-*") // creates it with mode 0600
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
		_ = os.Remove(file.Name()) // the caller gets the write's error
		return "", err
	}
	return file.Name(), nil
}

// FileError reports an unusable file of a state directory.
type FileError struct {
	Path    string
	Problem string // ends the sentence "key file X ..."
	Err     error
}

func (e *FileError) Error() string {
	return fmt.Sprintf("key file %q %s: %v", e.Path, e.Problem, e.Err)
}

func (e *FileError) Unwrap() error { return e.Err }

// Hint suggests how to correct the error.
func (e *FileError) Hint() string {
	if _, isSystem := errors.AsType[syscall.Errno](e.Err); isSystem {
		return "use a writable directory: name another with --state-dir, or run with --ephemeral"
	}
	return "restore the file from a copy, or delete it so that a new one is made; or run with --ephemeral or another --state-dir"
}
