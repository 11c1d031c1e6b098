package disk

import (
	"io"
	"io/fs"
	"os"
	"time"
)

// System is the file system of a Folder.
type System interface {
	// Open opens a file to read. It does not wait for the other end of a pipe.
	Open(path string) (fs.File, error)
	// Create opens a new file, which only its owner can read. The error is fs.ErrExist if the
	// path is taken, also by a link.
	Create(path string) (File, error)
	// Mkdir makes a folder that only its owner can use.
	Mkdir(path string) error
	ReadDir(path string) ([]fs.DirEntry, error)
	Stat(path string) (fs.FileInfo, error)
	Link(from, to string) error
	Rename(from, to string) error
	Remove(path string) error
	// Touch sets a file's modification time to the present.
	Touch(path string) error
	// SyncFolder returns when the names in a folder are on the disk.
	SyncFolder(path string) error
	// Lock locks a folder until unlock is called. It waits for a Shared lock, and fails if it
	// cannot get an Exclusive lock at once.
	Lock(folder string, kind Lock) (unlock func(), err error)
}

// File is a file that is being written.
type File interface {
	io.Writer
	// Sync returns when the file's content is on the disk.
	Sync() error
	Close() error
}

// Lock is a kind of lock.
type Lock int

// Any number of processes can have a Shared lock, or one process an Exclusive lock.
const (
	Shared Lock = iota
	Exclusive
)

// OS is the operating system's file system.
type OS struct{}

// The modes of kept files and their folders.
const (
	private       = 0o600
	privateFolder = 0o700
)

// Open implements System.
func (OS) Open(path string) (fs.File, error) {
	return os.OpenFile(path, os.O_RDONLY|notWaiting, 0)
}

// Create implements System.
func (OS) Create(path string) (File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, private)
}

// Mkdir implements System.
func (OS) Mkdir(path string) error { return os.Mkdir(path, privateFolder) }

// ReadDir implements System.
func (OS) ReadDir(path string) ([]fs.DirEntry, error) { return os.ReadDir(path) }

// Stat implements System.
func (OS) Stat(path string) (fs.FileInfo, error) { return os.Stat(path) }

// Link implements System.
func (OS) Link(from, to string) error { return os.Link(from, to) }

// Rename implements System.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements System.
func (OS) Remove(path string) error { return os.Remove(path) }

// Touch implements System.
func (OS) Touch(path string) error {
	now := time.Now() //nolint:forbidigo // the files of other processes have the machine's time too
	return os.Chtimes(path, now, now)
}

// Lock implements System.
func (OS) Lock(folder string, kind Lock) (unlock func(), err error) { return lock(folder, kind) }

// SyncFolder implements System.
func (OS) SyncFolder(path string) error { return syncFolder(path) }
