package cli

import (
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settling is how long files must stay unchanged before they are read again, because programs may
// write a file in several steps.
const settling = 100 * time.Millisecond

// watch reports when files change. It watches their directories, because most programs replace
// the old file with a new one. A nil watch reports nothing.
type watch struct {
	notify  *fsnotify.Watcher
	names   map[string]bool // of the files and of the links that lead to them
	settled *time.Timer
	logger  *slog.Logger
}

func newWatch(logger *slog.Logger) (*watch, error) {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, &hintError{
			message: "cannot watch files: " + rootCause(err).Error(),
			hint:    "run without --watch, and send SIGHUP to reload", cause: err,
		}
	}
	settled := time.NewTimer(settling)
	settled.Stop()
	return &watch{notify: notify, settled: settled, logger: logger}, nil
}

func (w *watch) close() {
	if w != nil {
		_ = w.notify.Close() // no goroutine listens any more
	}
}

// events returns the events to pass to note.
func (w *watch) events() <-chan fsnotify.Event {
	if w == nil {
		return nil
	}
	return w.notify.Events
}

// failures returns the errors to pass to lost.
func (w *watch) failures() <-chan error {
	if w == nil {
		return nil
	}
	return w.notify.Errors
}

// changed gets a value when files have changed and then stayed unchanged for settling.
func (w *watch) changed() <-chan time.Time {
	if w == nil {
		return nil
	}
	return w.settled.C
}

// note records a file system event.
func (w *watch) note(event fsnotify.Event) {
	isDirectory := slices.Contains(w.notify.WatchList(), event.Name)
	if event.Op != fsnotify.Chmod && (w.names[event.Name] || isDirectory) {
		w.settled.Reset(settling)
	}
}

// lost handles the loss of events: the files may have changed.
func (w *watch) lost(err error) {
	w.logger.Warn("file changes may have been missed; reloading", "error", err)
	w.settled.Reset(settling)
}

// follow watches these files and no others. It reports whether one of them was not watched
// before, and so may have changed since it was read.
func (w *watch) follow(files []string) bool {
	if w == nil {
		return false
	}
	names := map[string]bool{}
	directories := map[string]bool{}
	for _, file := range files {
		for _, name := range trail(file) {
			names[name], directories[filepath.Dir(name)] = true, true
		}
	}
	isNew := !maps.Equal(names, w.names)
	w.names = names
	before := w.notify.WatchList()
	for directory := range directories {
		isNew = isNew || !slices.Contains(before, directory)
		if err := w.notify.Add(directory); err != nil {
			w.logger.Warn("cannot watch a directory; send SIGHUP to reload", "directory", directory, "error", rootCause(err))
		}
	}
	for _, directory := range before {
		if !directories[directory] {
			_ = w.notify.Remove(directory) // the directory may be gone
		}
	}
	return isNew
}

// trail returns all names that decide which file a path leads to: the links on the way, and the
// file itself or the first missing directory.
func trail(path string) []string {
	const separator = string(filepath.Separator)
	const mostLinks = 40
	var names []string
	at, rest := separator, strings.Split(path, separator)
	for len(rest) > 0 {
		next := filepath.Join(at, rest[0])
		rest = rest[1:]
		info, err := os.Lstat(next)
		switch {
		case err != nil:
			return append(names, next)
		case info.Mode()&os.ModeSymlink == 0 || len(names) == mostLinks:
			at = next
			continue
		}
		names = append(names, next)
		target, _ := os.Readlink(next) // it was a link a moment ago
		if filepath.IsAbs(target) {
			at = separator
		}
		rest = append(strings.Split(target, separator), rest...)
	}
	return append(names, at)
}
