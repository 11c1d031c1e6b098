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

// settling is how long files have to be left alone before they are read again: programs
// write a file in several steps.
const settling = 100 * time.Millisecond

// watch tells when files have changed. It watches their directories, because most programs
// put a new file in the place of the old one. A nil watch never tells anything.
type watch struct {
	notify  *fsnotify.Watcher
	names   map[string]bool // of the files, and of the links that lead to them
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
		_ = w.notify.Close() // nobody listens any more
	}
}

// events is what note is for.
func (w *watch) events() <-chan fsnotify.Event {
	if w == nil {
		return nil
	}
	return w.notify.Events
}

// failures is what an overflow of events is told by.
func (w *watch) failures() <-chan error {
	if w == nil {
		return nil
	}
	return w.notify.Errors
}

// changed gets a value when files have changed and are left alone again.
func (w *watch) changed() <-chan time.Time {
	if w == nil {
		return nil
	}
	return w.settled.C
}

// note takes an event into account.
func (w *watch) note(event fsnotify.Event) {
	isDirectory := slices.Contains(w.notify.WatchList(), event.Name)
	if event.Op != fsnotify.Chmod && (w.names[event.Name] || isDirectory) {
		w.settled.Reset(settling)
	}
}

// lost notes that events are missing.
func (w *watch) lost(err error) {
	w.logger.Warn("changes of files were missed; reading them again", "error", err)
	w.settled.Reset(settling)
}

// follow watches some files and no others. It is true where one of them was not watched
// until now, and may have changed since it was read.
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
			_ = w.notify.Remove(directory) // it may be gone
		}
	}
	return isNew
}

// trail is every name that decides what a path leads to: those of links on the way, and that
// of the file, or of the first directory that is missing.
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
		target, _ := os.Readlink(next) // it has just been one
		if filepath.IsAbs(target) {
			at = separator
		}
		rest = append(strings.Split(target, separator), rest...)
	}
	return append(names, at)
}
