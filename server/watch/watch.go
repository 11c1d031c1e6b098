// Package watch reports when files may have changed.
//
// It owns the way from a path to its file: the folders, the links and the file itself, by their identity.
// If a folder is renamed, or replaced by another, the files in it change. The package does not read
// files: its callers do, and compare the content.
package watch

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settling is how long files must stay unchanged before they are read again, because programs may
// write a file in several steps.
const settling = 100 * time.Millisecond

// glance is the time between two looks at the ways of the paths. The system reports no change of a
// folder further up, of a mounted folder, or of a network's file system.
const glance = time.Second

// Watch reports when files may have changed. A nil Watch reports nothing.
type Watch struct {
	notify  *fsnotify.Watcher
	logger  *slog.Logger
	changed chan struct{}
	closed  chan struct{}
	close   func()

	mu      sync.Mutex
	paths   []string
	leads   []step                  // what the paths led to when Follow was called last
	folders map[string]listened     // in which the files are
	add     func(name string) error // makes the system report the changes in a folder
}

// listened is a folder that the system was asked to report changes of.
type listened struct {
	info os.FileInfo // as it was then
	err  error       // why the system does not report them
}

// New returns a watch of no files.
func New(logger *slog.Logger) (*Watch, error) {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	w := &Watch{
		notify: notify, logger: logger, changed: make(chan struct{}, 1), closed: make(chan struct{}),
		folders: map[string]listened{}, add: notify.Add,
	}
	w.close = sync.OnceFunc(func() { close(w.closed) })
	go w.run()
	return w, nil
}

// Close ends the watch.
func (w *Watch) Close() {
	if w != nil {
		w.close()
	}
}

// Changed gets a value when files may have changed and then stayed unchanged for a moment.
func (w *Watch) Changed() <-chan struct{} {
	if w == nil {
		return nil
	}
	return w.changed
}

// run waits for changes until the watch is closed.
func (w *Watch) run() {
	defer func() { _ = w.notify.Close() }() // nobody listens any more
	settled := time.NewTimer(settling)
	settled.Stop()
	look := time.NewTicker(glance)
	defer look.Stop()
	for {
		select {
		case event := <-w.notify.Events:
			if w.concerns(event) {
				settled.Reset(settling)
			}
		case err := <-w.notify.Errors:
			w.logger.Warn("file changes may have been missed; looking at the files", "error", err)
			settled.Reset(settling)
		case <-look.C:
			if w.differs() {
				settled.Reset(settling)
			}
		case <-settled.C:
			select {
			case w.changed <- struct{}{}:
			default: // an earlier value has not been received yet
			}
		case <-w.closed:
			return
		}
	}
}

// concerns reports whether an event is about a file, or about a link or a folder on the way to one.
func (w *Watch) concerns(event fsnotify.Event) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return event.Op != fsnotify.Chmod && slices.ContainsFunc(w.leads, func(s step) bool { return s.name == event.Name })
}

// differs reports whether the paths lead to other files than before.
func (w *Watch) differs() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !slices.EqualFunc(w.leads, walkAll(w.paths), step.equal)
}

// Follow watches only these files. It reports whether one of them may have changed unwatched
// between the previous call and this one.
func (w *Watch) Follow(paths []string) bool {
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	wanted := map[string]bool{}
	for _, s := range walkAll(paths) {
		if !s.isFolder() {
			wanted[filepath.Dir(s.name)] = true
		}
	}
	isNew := w.listen(wanted)
	leads := walkAll(paths) // after the system has begun to report changes
	isNew = isNew || !slices.EqualFunc(w.leads, leads, step.equal)
	w.paths, w.leads = slices.Clone(paths), leads
	return isNew
}

// listen makes the system report changes only in these folders. It reports whether the system has begun
// to report the changes of one of them. If the system refuses to watch a folder, the folder is not new at
// every call: Follow compares the ways of the paths, and run looks at them every second.
func (w *Watch) listen(wanted map[string]bool) (isNew bool) {
	for folder, before := range w.folders {
		if !wanted[folder] || !w.isAsked(folder, before) {
			_ = w.notify.Remove(folder) // the system may have removed it by itself
			delete(w.folders, folder)
		}
	}
	for folder := range wanted {
		known, isKnown := w.folders[folder]
		if isKnown && known.err == nil {
			continue
		}
		info, err := os.Lstat(folder) // if another folder takes its place now, differs sees that
		if err == nil {
			err = w.add(folder)
		}
		if err != nil && !isKnown {
			w.logger.Warn("cannot watch a folder; looking at its files every second", "folder", folder, "error", cause(err))
		}
		w.folders[folder] = listened{info, err}
		isNew = isNew || err == nil
	}
	return isNew
}

// isAsked reports whether the folder with this name is the folder that the system was asked to watch,
// and the system still watches it or has refused.
func (w *Watch) isAsked(folder string, before listened) bool {
	now, err := os.Lstat(folder)
	return err == nil && os.SameFile(before.info, now) && (before.err != nil || slices.Contains(w.notify.WatchList(), folder))
}
