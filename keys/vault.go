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
)

// vault keeps the encoded keys of a ring under slash-separated names.
type vault interface {
	// numbers lists which files N.pem a folder has, in rising order.
	numbers(folder string) ([]int, error)
	// read returns a file's content, or an error that is fs.ErrNotExist.
	read(name string) ([]byte, error)
	// create keeps data under a name that nobody has used yet. Where somebody was
	// faster, it keeps nothing and returns what they have kept.
	create(name string, data []byte) ([]byte, error)
	// path is the name as a person finds it.
	path(name string) string
}

func fileName(folder string, number int) string {
	return folder + "/" + strconv.Itoa(number) + ".pem"
}

// errClosed says that a process which is about to end keeps nothing more.
var errClosed = errors.New("the keys have been closed")

// closable is a vault that can be closed, so that a process does not end while a file is
// being written, and leave half of its work behind.
type closable struct {
	vault

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

func (memory) numbers(string) ([]int, error)                { return nil, nil }
func (memory) read(string) ([]byte, error)                  { return nil, fs.ErrNotExist }
func (memory) create(_ string, data []byte) ([]byte, error) { return data, nil }
func (memory) path(name string) string                      { return name }

// directory is a vault of files that only their owner can read.
type directory string

func (d directory) path(name string) string {
	return filepath.Join(string(d), filepath.FromSlash(name))
}

func (d directory) numbers(folder string) ([]int, error) {
	entries, err := os.ReadDir(d.path(folder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, &FileError{Path: d.path(folder), Problem: "cannot be listed", Err: err}
	}
	var numbers []int
	for _, entry := range entries {
		base, isPEM := strings.CutSuffix(entry.Name(), ".pem")
		if n, err := strconv.Atoi(base); isPEM && err == nil && n > 0 && strconv.Itoa(n) == base {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
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
	return "restore the file from a copy, or delete it to have a new one made; or run with --ephemeral or another --state-dir"
}
