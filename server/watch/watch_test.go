package watch_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gcp-metadata-emulator/server/watch"
)

// do stops the test at the first error.
func do(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func write(path, content string) error { return os.WriteFile(path, []byte(content), 0o600) }

// folders makes folders with a file in them, and returns the path of the file.
func folders(t *testing.T, root, content string) string {
	t.Helper()
	folder := filepath.Join(root, "parent", "folder")
	do(t, os.MkdirAll(folder, 0o700), write(filepath.Join(folder, "file"), content))
	return filepath.Join(folder, "file")
}

func newWatch(t *testing.T, paths ...string) *watch.Watch {
	t.Helper()
	w, err := watch.New(slog.New(slog.DiscardHandler))
	do(t, err)
	t.Cleanup(w.Close)
	if !w.Follow(paths) {
		t.Error("files that nobody watched before are not new")
	}
	return w
}

// Whatever changes on the way to a file is a change of the file.
func TestChanged(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(root string) error{
		"file written":     func(root string) error { return write(filepath.Join(root, "parent", "folder", "file"), "other") },
		"file removed":     func(root string) error { return os.Remove(filepath.Join(root, "parent", "folder", "file")) },
		"file made secret": func(root string) error { return os.Chmod(filepath.Join(root, "parent", "folder", "file"), 0) },
		"folder renamed": func(root string) error {
			return os.Rename(filepath.Join(root, "parent", "folder"), filepath.Join(root, "other"))
		},
		"parent renamed":  func(root string) error { return os.Rename(filepath.Join(root, "parent"), filepath.Join(root, "other")) },
		"parent replaced": func(root string) error { return replace(root, "parent") },
		"everything gone": os.RemoveAll,
		"a link in between": func(root string) error {
			return errors.Join(os.Rename(filepath.Join(root, "parent"), filepath.Join(root, "other")), os.Symlink("other", filepath.Join(root, "parent")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := filepath.Join(t.TempDir(), "root")
			path := folders(t, root, "first")
			w := newWatch(t, path)
			do(t, change(root))
			<-w.Changed()
			if w.Follow([]string{path}) { // what changed is followed, without another round
				w.Follow([]string{path})
			}
			do(t, os.RemoveAll(root))
			folders(t, root, "again")
			<-w.Changed()
		})
	}
}

// replace puts other folders in the place of a folder.
func replace(root, name string) error {
	fresh := filepath.Join(root, "fresh", "folder")
	return errors.Join(os.MkdirAll(fresh, 0o700), write(filepath.Join(fresh, "file"), "first"),
		os.Rename(filepath.Join(root, name), filepath.Join(root, "old")), os.Rename(filepath.Dir(fresh), filepath.Join(root, name)))
}

// Between two calls of Follow, the files may change unwatched, and Follow reports that.
func TestFollow(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	path := folders(t, root, "first")
	w := newWatch(t, path)
	if w.Follow([]string{path}) {
		t.Error("unchanged files are new")
	}
	other := filepath.Join(root, "parent", "other")
	if !w.Follow([]string{path, other}) {
		t.Error("another file is not new")
	}
	if w.Follow([]string{path, other}) {
		t.Error("a missing file is new a second time")
	}
	do(t, replace(root, "parent"))
	if !w.Follow([]string{path, other}) {
		t.Error("a file in another folder is not new")
	}
	if w.Follow([]string{path, other}) {
		t.Error("a file in another folder is new a second time")
	}
}

// If the system refuses to watch a folder, because its limit is reached or a right is missing, that is
// logged once, and the files are looked at every second.
func TestFolderThatCannotBeWatched(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	w, err := watch.New(slog.New(slog.NewTextHandler(&log, nil)))
	do(t, err)
	t.Cleanup(w.Close)
	path := folders(t, t.TempDir(), "first")
	w.Refuse(syscall.ENOSPC)
	if !w.Follow([]string{path}) {
		t.Error("files that nobody looked at before are not new")
	}
	for range 3 {
		if w.Follow([]string{path}) {
			t.Error("an unchanged file in a folder that cannot be watched is new")
		}
	}
	if warnings := strings.Count(log.String(), "cannot watch a folder"); warnings != 1 {
		t.Errorf("%d warnings:\n%s", warnings, log.String())
	}
	do(t, write(path, "other, and longer")) // the time of the change may be the same
	<-w.Changed()
	if !w.Follow([]string{path}) || w.Follow([]string{path}) {
		t.Error("a changed file is not new exactly once")
	}
	w.Refuse(nil)
	if !w.Follow([]string{path}) || w.Follow([]string{path}) {
		t.Error("a folder that can be watched again is not new exactly once")
	}
}

func TestNoWatch(t *testing.T) {
	t.Parallel()
	var w *watch.Watch
	w.Close()
	if w.Follow([]string{"/file"}) || w.Changed() != nil {
		t.Error("a nil watch reports changes")
	}
}
