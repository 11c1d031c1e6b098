package keys

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"syscall"

	"gcp-metadata-emulator/keys/disk"
)

// vault stores the files of a ring under slash-separated names.
type vault interface {
	// names lists the files of a folder.
	names(folder string) ([]string, error)
	// stamp returns a number that changes if the folder gets or loses a file, or disk.Changing if
	// it cannot detect changes.
	stamp(folder string) int64
	// modified returns a number that changes if a file gets other content, or 0 if there is no such
	// file.
	modified(name string) int64
	// read returns a file's content, and how other users can change it. If the file does not exist,
	// the error is fs.ErrNotExist.
	read(name string) (data []byte, exposure string, err error)
	// create stores data under a new name. The error is fs.ErrExist if the name is taken.
	create(name string, data []byte) error
	// replace stores data under a name that is taken already.
	replace(name string, data []byte) error
	// touch makes a file the latest for prune. If the file does not exist, the error is
	// fs.ErrNotExist.
	touch(name string) error
	// prune removes the oldest files of a folder, until it has at most the given number.
	prune(folder string, most int) error
	// sweep removes unfinished files of killed processes.
	sweep()
	// exposure says how other users can change the vault itself.
	exposure() string
	// path returns the name as a person finds it on disk.
	path(name string) string
}

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

// memory is a vault without storage.
type memory struct{}

func (memory) names(string) ([]string, error)      { return nil, nil }
func (memory) stamp(string) int64                  { return disk.Absent }
func (memory) modified(string) int64               { return 0 }
func (memory) read(string) ([]byte, string, error) { return nil, "", fs.ErrNotExist }
func (memory) create(string, []byte) error         { return nil }
func (memory) replace(string, []byte) error        { return nil }
func (memory) touch(string) error                  { return nil }
func (memory) prune(string, int) error             { return nil }
func (memory) sweep()                              {}
func (memory) exposure() string                    { return "" }
func (memory) path(name string) string             { return name }

// directory is a vault of files that only their owner can read.
type directory struct{ folder *disk.Folder }

func (d directory) path(name string) string    { return d.folder.Path(name) }
func (d directory) stamp(folder string) int64  { return d.folder.Stamp(folder) }
func (d directory) modified(name string) int64 { return d.folder.Modified(name) }
func (d directory) touch(name string) error    { return d.folder.Touch(name) }
func (d directory) exposure() string           { return d.folder.Exposure() }
func (d directory) sweep()                     { d.folder.Sweep() }

func (d directory) names(folder string) ([]string, error) {
	names, err := d.folder.Names(folder)
	return names, d.failure(folder, "cannot be listed", err, nil)
}

func (d directory) read(name string) (data []byte, exposure string, err error) {
	data, info, err := d.folder.Read(name)
	if err == nil {
		exposure = disk.Exposure(info)
	}
	return data, exposure, d.failure(name, "cannot be read", err, fs.ErrNotExist)
}

func (d directory) create(name string, data []byte) error {
	return d.failure(name, "cannot be written", d.folder.Create(name, data), fs.ErrExist)
}

func (d directory) replace(name string, data []byte) error {
	return d.failure(name, "cannot be written", d.folder.Replace(name, data), nil)
}

func (d directory) prune(folder string, most int) error {
	return d.failure(folder, "cannot be pruned", d.folder.Prune(folder, most), nil)
}

// failure returns an error with the path of a file. If the error is the expected one, failure
// returns it unchanged.
func (d directory) failure(name, problem string, err, expected error) error {
	if err == nil || errors.Is(err, expected) {
		return err
	}
	return &FileError{Path: d.path(name), Problem: problem, Err: err}
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
	switch {
	case errors.Is(e.Err, syscall.EMFILE), errors.Is(e.Err, syscall.ENFILE):
		return "raise the limit of open files, such as with: ulimit -n 4096"
	case errors.Is(e.Err, syscall.ENOSPC):
		return "free some space, or name another directory with --state-dir"
	case errors.Is(e.Err, errReplaced):
		return "restart this emulator, so that all processes with the directory use the same keys"
	case isSystemError(e.Err):
		return "use a writable directory: name another with --state-dir, or run with --ephemeral"
	}
	return "restore the file from a copy, or delete it so that a new one is made; or run with --ephemeral or another --state-dir"
}

// isSystemError reports whether err comes from the operating system, and does not mean that a file is
// damaged. Such an error may go away by itself.
func isSystemError(err error) bool {
	_, isSystem := errors.AsType[syscall.Errno](err)
	return isSystem
}
