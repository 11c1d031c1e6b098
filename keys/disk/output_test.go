package disk_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gcp-metadata-emulator/keys/disk"
)

const secret = 0o600

// folders makes a folder that everybody can write to, as /tmp, and a private folder.
func folders(t *testing.T) (shared, own string) {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	shared, own = filepath.Join(root, "shared"), filepath.Join(root, "own")
	if err := errors.Join(os.Mkdir(shared, 0o700), os.Chmod(shared, 0o777|os.ModeSticky), os.Mkdir(own, 0o700)); err != nil {
		t.Fatal(err)
	}
	return shared, own
}

// A link in a folder that everybody can write to is never followed, wherever in the path it is.
func TestLinksOfOthers(t *testing.T) {
	t.Parallel()
	shared, own := folders(t)
	victim := filepath.Join(own, "victim")
	if err := errors.Join(
		os.WriteFile(victim, []byte("before"), secret),
		os.Symlink(victim, filepath.Join(shared, "file")),
		os.Symlink(filepath.Join(own, "new"), filepath.Join(shared, "dangling")),
		os.Symlink(own, filepath.Join(shared, "folder")),
		os.Symlink("file", filepath.Join(shared, "twice")),
		os.Symlink(filepath.Join(shared, "file"), filepath.Join(own, "through")),
		os.Symlink("loop", filepath.Join(own, "loop")),
	); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		filepath.Join(shared, "file"), filepath.Join(shared, "dangling"), filepath.Join(shared, "folder", "victim"), filepath.Join(shared, "folder", "new"),
		filepath.Join(shared, "twice"), filepath.Join(own, "through"), filepath.Join(own, "loop"),
	} {
		err := disk.WriteFile(path, []byte("after"), secret)
		if link, ok := errors.AsType[*disk.LinkError](err); !ok || link.Hint() == "" {
			t.Errorf("%s: %v, want a LinkError", path, err)
		}
		if _, ok := errors.AsType[*disk.LinkError](disk.RemoveFile(path)); !ok {
			t.Errorf("%s was removed", path)
		}
	}
	if content, err := os.ReadFile(victim); err != nil || string(content) != "before" {
		t.Errorf("the file behind the links has %q, %v", content, err)
	}
	if _, err := os.Lstat(filepath.Join(own, "new")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file was made behind a link: %v", err)
	}
}

// Files are replaced as a whole, with their mode, also behind a user's own links. Nothing else is left.
func TestWriteFile(t *testing.T) {
	t.Parallel()
	shared, own := folders(t)
	if err := errors.Join(
		os.WriteFile(filepath.Join(own, "public"), []byte("a long text before"), 0o644),
		os.Symlink("public", filepath.Join(own, "link")),
		os.Mkdir(filepath.Join(own, "sub"), 0o700),
		os.Symlink(filepath.Join("..", "own", "sub"), filepath.Join(own, "away")),
	); err != nil {
		t.Fatal(err)
	}
	for path, at := range map[string]string{
		filepath.Join(shared, "new"): filepath.Join(shared, "new"), filepath.Join(own, "new"): filepath.Join(own, "new"),
		filepath.Join(own, "link"): filepath.Join(own, "public"), filepath.Join(own, "away", "file"): filepath.Join(own, "sub", "file"),
		filepath.Join(own, strings.Repeat("n", 250)): filepath.Join(own, strings.Repeat("n", 250)),
	} {
		if err := disk.WriteFile(path, []byte("after"), secret); err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		content, err := os.ReadFile(at)
		info, infoErr := os.Lstat(at)
		if err := errors.Join(err, infoErr); err != nil || string(content) != "after" || info.Mode() != secret {
			t.Errorf("%s: %q, %v, %v", at, content, info, err)
		}
	}
	if link, err := os.Readlink(filepath.Join(own, "link")); err != nil || link != "public" {
		t.Errorf("the link leads to %q, %v", link, err)
	}
	entries, err := os.ReadDir(own)
	if err != nil || len(entries) != 6 {
		t.Errorf("there are %v, %v", entries, err)
	}
	for _, path := range []string{own, filepath.Join(own, "missing", "file"), filepath.Join(own, "public", "file")} {
		if err := disk.WriteFile(path, nil, secret); err == nil {
			t.Errorf("%s: no error", path)
		}
	}
}

// Devices are written to.
func TestWriteFileToDevices(t *testing.T) {
	t.Parallel()
	read, write, err := os.Pipe()
	if err != nil {
		t.Skip(err)
	}
	defer read.Close()
	path := fmt.Sprint("/proc/self/fd/", write.Fd())
	if _, err := os.Lstat(path); err != nil {
		t.Skipf("no such files here: %v", err)
	}
	if err := errors.Join(disk.WriteFile(path, []byte("through"), secret), disk.WriteFile("/dev/null", []byte("x"), secret), write.Close()); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(read); err != nil || string(got) != "through" {
		t.Errorf("got %q, %v", got, err)
	}
}

// RemoveFile removes the file behind a link of our own, and nothing but regular files.
func TestRemoveFile(t *testing.T) {
	t.Parallel()
	_, own := folders(t)
	file, link, stream, folder := filepath.Join(own, "file"), filepath.Join(own, "link"), filepath.Join(own, "stream"), filepath.Join(own, "folder")
	if err := errors.Join(os.WriteFile(file, nil, secret), os.Symlink("file", link), os.Symlink("/dev/null", stream), os.Mkdir(folder, 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(disk.RemoveFile(link), disk.RemoveFile(stream)); err != nil {
		t.Fatal(err)
	}
	if disk.RemoveFile(folder) == nil {
		t.Error("a folder was removed")
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file behind the link remains: %v", err)
	}
	for _, path := range []string{link, stream, folder, os.DevNull} {
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("%s was removed: %v", path, err)
		}
	}
}
