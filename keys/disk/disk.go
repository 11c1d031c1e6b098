// Package disk keeps small files so that they outlast the end of a process, a power cut and damage
// by other users.
//
// A [Folder] holds files. It writes a file whole or not at all, and never replaces one by accident.
// It returns after the file is on the disk. [Replace] writes a file for other programs. If another
// user may have made a link, it does not follow the link.
//
// The package does not know what the files contain.
package disk

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// maxBytes is the size of the largest file that a Folder reads.
const maxBytes = 16 << 20

// temporaries is the folder of unfinished files, and unfinished is the prefix of their names.
// Earlier versions wrote files with the same prefix in earlierTemporaries, or beside the finished
// files.
const (
	temporaries        = ".unfinished"
	earlierTemporaries = "tmp"
	unfinished         = ".new-"
)

// forsaken is the age at which an unfinished file of an earlier version is litter. If the file is
// younger, a process of that version may still be writing it, without a lock.
const forsaken = time.Minute

// Special stamps: Changing if a folder may change again without a new stamp, and Absent if a
// folder does not exist.
const (
	Changing int64 = 0
	Absent   int64 = -1
)

// Errors of files that a Folder does not read.
var (
	errNotRegular = errors.New("it is not a regular file")
	errTooLarge   = fmt.Errorf("it is larger than %d bytes", maxBytes)
)

// Folder is a directory with files that only their owner can read. Its methods take
// slash-separated names below the directory. A Folder is safe for concurrent use, also by several
// processes.
type Folder struct {
	root   string
	system System
}

// NewFolder returns the folder at a path, which need not exist yet.
func NewFolder(root string) *Folder { return NewFolderOn(root, OS{}) }

// NewFolderOn returns a folder of another file system, such as a test's.
func NewFolderOn(root string, system System) *Folder { return &Folder{root: root, system: system} }

// Path returns the name as a person finds it on disk.
func (f *Folder) Path(name string) string { return filepath.Join(f.root, filepath.FromSlash(name)) }

// Names lists the files of a folder. If the folder does not exist, there are none. Names removes
// unfinished files of killed processes of earlier versions.
func (f *Folder) Names(folder string) ([]string, error) {
	entries, err := f.system.ReadDir(f.Path(folder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), unfinished) {
			names = append(names, entry.Name())
		}
	}
	if len(names) < len(entries) {
		f.discard(folder, litter(entries, forsaken))
	}
	return names, nil
}

// Stamp returns a number that changes if the folder gets or loses a file: its modification time.
// It returns Changing if a further change could still get the same modification time.
func (f *Folder) Stamp(folder string) int64 {
	const coarse = 2 * time.Second // for file systems that store times in whole or even seconds
	info, err := f.system.Stat(f.Path(folder))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Absent
	case err != nil || time.Since(info.ModTime()) < coarse:
		return Changing
	default:
		return info.ModTime().UnixNano()
	}
}

// Modified returns the time of a file's last change in Unix nanoseconds, or 0 if the file does not
// exist.
func (f *Folder) Modified(name string) int64 {
	info, err := f.system.Stat(f.Path(name))
	if err != nil {
		return 0
	}
	return info.ModTime().UnixNano()
}

// Read returns a file's content and its description. If the file does not exist, the error is
// fs.ErrNotExist.
func (f *Folder) Read(name string) ([]byte, fs.FileInfo, error) {
	file, err := f.system.Open(f.Path(name))
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = file.Close() }() // nothing was written
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, nil, err
	case !info.Mode().IsRegular():
		return nil, nil, errNotRegular
	case info.Size() > maxBytes:
		return nil, nil, errTooLarge
	}
	data := make([]byte, info.Size())
	read, err := io.ReadFull(file, data)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = nil // it has become shorter, which its reader finds out
	}
	return data[:read], info, err
}

// Create stores data under a new name. It returns fs.ErrExist if the name is taken. Either way, the
// name is on the disk when Create returns.
func (f *Folder) Create(name string, data []byte) error {
	return f.store(name, data, func(temporary, path string) error {
		defer func() { _ = f.system.Remove(temporary) }() // a linked file keeps its other name
		return f.system.Link(temporary, path)
	})
}

// Replace stores data under a name, and replaces an existing file.
func (f *Folder) Replace(name string, data []byte) error {
	return f.store(name, data, func(temporary, path string) error {
		err := f.system.Rename(temporary, path)
		if err != nil {
			_ = f.system.Remove(temporary) // the earlier error is the one to report
		}
		return err
	})
}

// store writes a temporary file, and then calls settle to give it its name. Unlike a rename, a link
// fails if the name exists. A file is therefore either whole or absent.
func (f *Folder) store(name string, data []byte, settle func(from, to string) error) error {
	path := f.Path(name)
	if err := f.makeFolder(f.Path(temporaries)); err != nil {
		return err
	}
	unlock, err := f.system.Lock(f.root, Shared)
	if err != nil {
		return err
	}
	defer unlock()
	if err := f.makeFolder(filepath.Dir(path)); err != nil {
		return err
	}
	temporary, err := f.writeTemporary(data)
	if err != nil {
		return err
	}
	settled := settle(temporary, path)
	if settled != nil && !errors.Is(settled, fs.ErrExist) {
		return settled
	}
	if err := f.system.SyncFolder(filepath.Dir(path)); err != nil {
		return err
	}
	return settled
}

// makeFolder makes a folder and its missing parents, and writes their names to the disk.
func (f *Folder) makeFolder(path string) error {
	err := f.system.Mkdir(path)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case errors.Is(err, fs.ErrNotExist) && filepath.Dir(path) != path:
		if err := f.makeFolder(filepath.Dir(path)); err != nil {
			return err
		}
		if err := f.system.Mkdir(path); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	case err != nil:
		return err
	}
	return f.system.SyncFolder(filepath.Dir(path))
}

func (f *Folder) writeTemporary(data []byte) (path string, err error) {
	path = filepath.Join(f.Path(temporaries), unfinished+rand.Text())
	file, err := f.system.Create(path)
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
		_ = f.system.Remove(path) // the caller gets the write's error
	}
	return path, err
}

// Touch makes a file the latest of its folder for Prune. If the file does not exist, the error is
// fs.ErrNotExist.
func (f *Folder) Touch(name string) error { return f.system.Touch(f.Path(name)) }

// Prune removes the oldest files of a folder, until it has at most the given number. It goes by the
// files' modification times.
func (f *Folder) Prune(folder string, most int) error {
	names, err := f.Names(folder)
	if err != nil || len(names) <= most {
		return err
	}
	ages := map[string]time.Time{}
	for _, name := range names {
		if info, err := f.system.Stat(f.Path(folder + "/" + name)); err == nil { // another process may have removed it
			ages[name] = info.ModTime()
		}
	}
	slices.SortFunc(names, func(a, b string) int { return ages[a].Compare(ages[b]) })
	for _, name := range names[:len(names)-most] {
		if err := f.system.Remove(f.Path(folder + "/" + name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Sweep removes unfinished files of killed processes from the folders of unfinished files, and
// returns their number. It does not remove any other file, because other programs may use the root
// too.
func (f *Folder) Sweep() (removed int) {
	for folder, age := range map[string]time.Duration{temporaries: 0, earlierTemporaries: forsaken} {
		entries, err := f.system.ReadDir(f.Path(folder))
		if err != nil {
			continue // there is none, or the next write says what is wrong
		}
		removed += f.discard(folder, litter(entries, age))
	}
	return removed
}

// litter returns the names of unfinished files that have at least the given age.
func litter(entries []fs.DirEntry, age time.Duration) []string {
	var names []string
	for _, entry := range entries {
		if !entry.Type().IsRegular() || !strings.HasPrefix(entry.Name(), unfinished) {
			continue
		}
		info, err := entry.Info() // the error says that the file is gone
		if err == nil && (age == 0 || time.Since(info.ModTime()) >= age) {
			names = append(names, entry.Name())
		}
	}
	return names
}

// discard removes unfinished files, unless a process is writing at the moment.
func (f *Folder) discard(folder string, names []string) (removed int) {
	if len(names) == 0 {
		return 0
	}
	unlock, err := f.system.Lock(f.root, Exclusive)
	if err != nil {
		return 0 // somebody is writing; a later start removes the files
	}
	defer unlock()
	for _, name := range names {
		if f.system.Remove(f.Path(folder+"/"+name)) == nil {
			removed++
		}
	}
	return removed
}

// Exposure says how other users can change the folder itself, such as "everybody can change it". It
// is empty if they cannot, or if the folder does not exist.
func (f *Folder) Exposure() string {
	info, err := f.system.Stat(f.root)
	if err != nil {
		return ""
	}
	return Exposure(info)
}
