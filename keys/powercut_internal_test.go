package keys

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"gcp-metadata-emulator/keys/disk"
)

// volatile is a file system in memory that loses, at a power cut, what was not synced. It counts its
// changes, and the power fails after a number of them.
type volatile struct {
	mu      sync.Mutex
	folders map[string]*volatileFolder
	left    int // changes until the power cut; negative: none comes
	made    int // changes so far
}

type volatileFolder struct {
	names, synced map[string]*volatileFile // a nil file is a folder
	changed       time.Time
}

type volatileFile struct {
	content, synced []byte
}

var errPowerCut = errors.New("there is no power")

func newVolatile(left int) *volatile {
	return &volatile{left: left, folders: map[string]*volatileFolder{"/": {names: map[string]*volatileFile{}, synced: map[string]*volatileFile{}}}}
}

// change counts a change, which does not happen if the power has failed.
func (v *volatile) change(do func() error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.left == 0 {
		return errPowerCut
	}
	err := do()
	if err == nil {
		v.left--
		v.made++
	}
	return err
}

// loss is what a power cut does to changes that were not synced.
type loss struct {
	name          string
	keepsNames    bool // of unsynced folders
	keepsContents bool // of unsynced files
}

// afterPowerCut returns the file system that the next start finds.
func (v *volatile) afterPowerCut(lost loss) *volatile {
	v.mu.Lock()
	defer v.mu.Unlock()
	next := newVolatile(-1)
	var restore func(from string)
	restore = func(at string) {
		folder := v.folders[at]
		entries := folder.synced
		if lost.keepsNames {
			entries = folder.names
		}
		copied := &volatileFolder{names: map[string]*volatileFile{}, changed: folder.changed}
		next.folders[at] = copied
		for name, file := range entries {
			if file == nil {
				copied.names[name] = nil
				restore(path.Join(at, name))
				continue
			}
			content := file.synced
			if lost.keepsContents {
				content = file.content
			}
			copied.names[name] = &volatileFile{content: content, synced: content}
		}
		copied.synced = maps.Clone(copied.names)
	}
	restore("/")
	return next
}

func (v *volatile) files() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var all []string
	for at, folder := range v.folders {
		for name, file := range folder.names {
			if file != nil {
				all = append(all, path.Join(at, name))
			}
		}
	}
	slices.Sort(all)
	return all
}

func (v *volatile) at(name string) (*volatileFolder, string, error) {
	folder, ok := v.folders[path.Dir(name)]
	if !ok {
		return nil, "", fs.ErrNotExist
	}
	return folder, path.Base(name), nil
}

func (v *volatile) Open(name string) (fs.File, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	folder, base, err := v.at(name)
	if err != nil {
		return nil, err
	}
	file := folder.names[base]
	if file == nil {
		return nil, fs.ErrNotExist
	}
	return openFile{bytes.NewReader(file.content), description{base, int64(len(file.content)), folder.changed}}, nil
}

func (v *volatile) Create(name string) (disk.File, error) {
	file := &volatileFile{}
	err := v.change(func() error {
		folder, base, err := v.at(name)
		if err != nil {
			return err
		}
		if _, taken := folder.names[base]; taken {
			return fs.ErrExist
		}
		folder.names[base] = file
		return nil
	})
	return &writing{v, file}, err
}

func (v *volatile) Mkdir(name string) error {
	return v.change(func() error {
		folder, base, err := v.at(name)
		if err != nil {
			return err
		}
		if _, taken := folder.names[base]; taken {
			return fs.ErrExist
		}
		folder.names[base] = nil
		v.folders[name] = &volatileFolder{names: map[string]*volatileFile{}, synced: map[string]*volatileFile{}}
		return nil
	})
}

func (v *volatile) ReadDir(name string) ([]fs.DirEntry, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	folder, ok := v.folders[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	var entries []fs.DirEntry
	for _, base := range slices.Sorted(maps.Keys(folder.names)) {
		entries = append(entries, fs.FileInfoToDirEntry(description{name: base}))
	}
	return entries, nil
}

func (v *volatile) Stat(name string) (fs.FileInfo, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if folder, ok := v.folders[name]; ok {
		return description{path.Base(name), 0, folder.changed}, nil
	}
	folder, base, err := v.at(name)
	if err != nil || folder.names[base] == nil {
		return nil, fs.ErrNotExist
	}
	return description{name: base}, nil
}

func (v *volatile) Link(from, to string) error {
	return v.change(func() error {
		source, old, err := v.at(from)
		target, fresh, targetErr := v.at(to)
		if err := errors.Join(err, targetErr); err != nil {
			return err
		}
		if _, taken := target.names[fresh]; taken {
			return fs.ErrExist
		}
		target.names[fresh] = source.names[old]
		return nil
	})
}

func (v *volatile) Rename(from, to string) error {
	return v.change(func() error {
		source, old, err := v.at(from)
		target, fresh, targetErr := v.at(to)
		if err := errors.Join(err, targetErr); err != nil {
			return err
		}
		target.names[fresh] = source.names[old]
		delete(source.names, old)
		return nil
	})
}

func (v *volatile) Remove(name string) error {
	return v.change(func() error {
		folder, base, err := v.at(name)
		if err != nil {
			return err
		}
		delete(folder.names, base)
		return nil
	})
}

func (v *volatile) Touch(string) error { return v.change(func() error { return nil }) }

func (v *volatile) SyncFolder(name string) error {
	return v.change(func() error {
		folder, ok := v.folders[name]
		if !ok {
			return fs.ErrNotExist
		}
		folder.synced = maps.Clone(folder.names)
		return nil
	})
}

func (v *volatile) Lock(string, disk.Lock) (func(), error) { return func() {}, nil }

// writing is an open file of a volatile file system.
type writing struct {
	system *volatile
	file   *volatileFile
}

func (w *writing) Write(p []byte) (int, error) {
	return len(p), w.system.change(func() error {
		w.file.content = append(slices.Clip(w.file.content), p...)
		return nil
	})
}

func (w *writing) Sync() error {
	return w.system.change(func() error {
		w.file.synced = slices.Clone(w.file.content)
		return nil
	})
}

func (w *writing) Close() error { return nil }

type openFile struct {
	*bytes.Reader

	description
}

func (f openFile) Stat() (fs.FileInfo, error) { return f.description, nil }
func (f openFile) Size() int64                { return f.size }
func (openFile) Close() error                 { return nil }

// description describes a file.
type description struct {
	name    string
	size    int64
	changed time.Time
}

func (d description) Name() string       { return d.name }
func (d description) Size() int64        { return d.size }
func (d description) Mode() fs.FileMode  { return 0o600 }
func (d description) ModTime() time.Time { return d.changed }
func (d description) IsDir() bool        { return false }
func (d description) Sys() any           { return nil }

func isUnfinished(name string) bool { return strings.Contains(name, ".new-") }
