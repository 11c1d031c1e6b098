package keys_test

import (
	"context"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/keys"
)

// troubles collects what a ring reports.
type troubles struct {
	mu   sync.Mutex
	list []error
}

func (tr *troubles) of(ring *keys.Ring) *keys.Ring {
	ring.ReportTrouble(func(err error) {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		tr.list = append(tr.list, err)
	})
	return ring
}

func (tr *troubles) texts() []string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	var texts []string
	for _, err := range tr.list {
		texts = append(texts, err.Error())
	}
	return texts
}

// checkTold checks that a ring has reported trouble of which the text has all parts.
func (tr *troubles) checkTold(t *testing.T, parts ...string) {
	t.Helper()
	for _, text := range tr.texts() {
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(text, part) }) {
			return
		}
	}
	t.Errorf("got %q; want a report with %q", tr.texts(), parts)
}

// all returns everything that a ring's users see: the keys of every kind, and the other secrets.
func all(t *testing.T, ring *keys.Ring) map[string][]string {
	t.Helper()
	seen, err := look(ring)
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

// look is all for a ring that may be damaged.
func look(ring *keys.Ring) (map[string][]string, error) {
	seen := map[string][]string{}
	err := ring.Load()
	if err != nil {
		return nil, err
	}
	for name, set := range map[string]*keys.Set{
		"google": ring.Google(), "system": ring.System("a@b.c"), "user": ring.User("a@b.c", "1"),
	} {
		states, err := set.States()
		if err != nil {
			return nil, err
		}
		for _, key := range states {
			private, err := key.PrivateKey()
			if err != nil {
				return nil, err
			}
			seen[name] = append(seen[name], string(key.State)+" "+key.Certificate()+private)
		}
	}
	secret, err := ring.Secret()
	if err != nil {
		return nil, err
	}
	iap, err := ring.IAP()
	if err != nil {
		return nil, err
	}
	authority, err := ring.Authority()
	if err != nil {
		return nil, err
	}
	seen["secret"], seen["iap"], seen["ca"] = []string{hex.EncodeToString(secret)}, []string{iap.ID() + iap.PublicKey()}, []string{authority.Certificate()}
	return seen, nil
}

// settle makes keys of every kind, with one retired and one withdrawn key.
func settle(t *testing.T, ring *keys.Ring) {
	t.Helper()
	published(t, ring.Google())
	rotate(t, ring.Google(), 1)
	rotate(t, ring.Google(), 1)
	active(t, ring.System("a@b.c"))
	active(t, ring.User("a@b.c", "1"))
	keep(t, ring, "content")
	all(t, ring) // makes the others
}

// A directory that is removed while the emulator runs is written again, whether a request for keys
// notices the removal, or a rotation, or only the regular check. A later process has the same keys.
func TestRemovedWhileRunning(t *testing.T) {
	t.Parallel()
	for name, notice := range map[string]func(*testing.T, *keys.Ring){
		"by a request": func(t *testing.T, ring *keys.Ring) {
			t.Helper()
			if _, err := ring.Google().Known(); err != nil {
				t.Fatal(err)
			}
		},
		"by a rotation": func(t *testing.T, ring *keys.Ring) {
			t.Helper()
			rotate(t, ring.Google(), keys.KeepAll)
		},
		"by the check": func(_ *testing.T, ring *keys.Ring) { ring.Check() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "state")
			var told troubles
			ring := told.of(newRing(t, dir, time.Now))
			settle(t, ring)
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			notice(t, ring)
			ring.Wait()
			want := all(t, ring)
			later := newRing(t, dir, time.Now)
			if diff := cmp.Diff(want, all(t, later)); diff != "" {
				t.Errorf("a later process has other keys:\n%s", diff)
			}
			checkKept(t, later, keep(t, newRing(t, "", time.Now), "content"), "content")
			told.checkTold(t, "removed while the emulator was running", filepath.Join(dir, "keys", "google"))
		})
	}
}

// Without a directory to write to, a rotation changes nothing, and the keys stay in use.
func TestRotationIsRefused(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	var told troubles
	ring := told.of(newRing(t, dir, time.Now))
	want := ids(published(t, ring.Google()))
	if err := errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	var fileError *keys.FileError
	if err := ring.Google().Rotate(context.Background(), keys.KeepAll); !errors.As(err, &fileError) || fileError.Hint() == "" {
		t.Errorf("the rotation: %v; want an error with a hint", err)
	}
	ring.Check()
	if diff := cmp.Diff(want, ids(published(t, ring.Google()))); diff != "" {
		t.Errorf("the keys have changed:\n%s", diff)
	}
	told.checkTold(t, dir)
}

// If another process starts in a directory that was removed, both have its keys in the end, and the
// first process goes on publishing its own.
func TestRemovedAndTakenByAnotherProcess(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	var told troubles
	ring := told.of(newRing(t, dir, time.Now))
	before := ids(published(t, ring.Google()))
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	other := ids(published(t, newRing(t, dir, time.Now).Google()))
	known, err := ring.Google().Known()
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range slices.Concat(before, other) {
		if !slices.Contains(ids(known), id) {
			t.Errorf("key %s is not published by the first process: %v", id, ids(known))
		}
	}
	if got := active(t, ring.Google()).ID(); got != other[0] {
		t.Errorf("the first process signs with %s, which the other does not know", got)
	}
	told.checkTold(t, "another process")
}

// Files that were removed while nobody used them are told of if others refer to them.
func TestMissingFiles(t *testing.T) {
	t.Parallel()
	for removed, by := range map[string]string{
		"keys/google/1.pem":                "keys/google/4.pem",
		"keys/google/3.pem":                "keys/google/4.pem",
		"keys/token.secret":                "keys/google/4.pem",
		"ca/1.pem":                         "ca/0123456789abcdef",
		"keys/accounts/a%40b.c/user/1.pem": "keys/accounts/a%40b.c/user",
	} {
		t.Run(removed, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			settle(t, newRing(t, dir, time.Now))
			removed := strings.ReplaceAll(removed, "%40", "@")
			by := strings.ReplaceAll(by, "%40", "@")
			path := filepath.Join(dir, filepath.FromSlash(removed))
			past := time.Now().Add(-time.Hour)
			if err := errors.Join(os.Remove(path), os.Chtimes(filepath.Dir(path), past, past), os.Mkdir(filepath.Join(dir, "ca", "0123456789abcdef"), 0o700)); err != nil {
				t.Fatal(err)
			}
			var told troubles
			all(t, told.of(newRing(t, dir, time.Now)))
			told.checkTold(t, path, filepath.Join(dir, filepath.FromSlash(by)), "missing")
		})
	}
}

// Files and folders that other users can change are told of.
func TestExposedFiles(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]fs.FileMode{".": 0o777, "keys/google/4.pem": 0o666, "keys/token.secret": 0o620, "ca/1.pem": 0o602} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			ring := newRing(t, dir, time.Now)
			settle(t, ring)
			var before troubles
			all(t, before.of(newRing(t, dir, time.Now)))
			if texts := before.texts(); len(texts) > 0 {
				t.Errorf("a directory in order is told of: %q", texts)
			}
			path := filepath.Join(dir, filepath.FromSlash(name))
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			var told troubles
			all(t, told.of(newRing(t, dir, time.Now)))
			told.checkTold(t, "other users can change", `"`+path+`"`)
		})
	}
}

// What killed processes have left is removed at the next start, also what earlier versions left
// beside the keys, but not while another process writes. Other files stay, even in folders with those names.
func TestLitter(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	settle(t, newRing(t, dir, time.Now))
	litter := []string{
		filepath.Join(dir, ".unfinished", ".new-1"), filepath.Join(dir, "tmp", ".new-1-1"), filepath.Join(dir, "keys", "google", ".new-123"),
		filepath.Join(dir, "ca", ".new-123"), filepath.Join(dir, "keys", "accounts", "a@b.c", "user", ".new-123"),
	}
	strangers := []string{
		filepath.Join(dir, ".unfinished", "letter"), filepath.Join(dir, "tmp", "letter"), filepath.Join(dir, "tmp", ".new-folder", "letter"),
		filepath.Join(dir, "tmp", ".new-young"), filepath.Join(dir, "keys", "google", ".new-young"), // of an earlier version that is running
	}
	if err := os.MkdirAll(filepath.Join(dir, "tmp", ".new-folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	past := time.Now().Add(-time.Hour)
	for _, path := range slices.Concat(litter, strangers) {
		if err := os.WriteFile(path, []byte("a whole key"), 0o600); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(path, "young") {
			continue
		}
		if err := os.Chtimes(path, past, past); err != nil {
			t.Fatal(err)
		}
	}
	unlock := writing(t, dir)
	ring := newRing(t, dir, time.Now)
	all(t, ring)
	for _, path := range litter {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%s was taken from a process that is writing: %v", path, err)
		}
	}
	unlock()
	all(t, newRing(t, dir, time.Now))
	for _, path := range litter {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s remains: %v", path, err)
		}
	}
	for _, path := range strangers {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%s, which is not litter, was removed: %v", path, err)
		}
	}
}

// Files of earlier versions, which have no checksum, are read, and get one.
func TestFilesOfEarlierVersions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ring := newRing(t, dir, time.Now)
	settle(t, ring)
	want := all(t, ring)
	files := kept(t, dir)
	for _, path := range files {
		unseal(t, path)
	}
	var told troubles
	if diff := cmp.Diff(want, all(t, told.of(newRing(t, dir, time.Now)))); diff != "" {
		t.Errorf("the keys have changed:\n%s", diff)
	}
	checkKept(t, newRing(t, dir, time.Now), keep(t, newRing(t, "", time.Now), "content"), "content")
	if texts := told.texts(); len(texts) > 0 {
		t.Errorf("the files are told of: %q", texts)
	}
	for _, path := range files {
		if content, err := os.ReadFile(path); err != nil || !strings.HasPrefix(string(content), "checksum: ") {
			t.Errorf("%s has no checksum: %v", path, err)
		}
	}
}

// kept lists the files below a directory.
func kept(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	if err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files = append(files, path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return files
}

// unseal turns a file into one of an earlier version.
func unseal(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, bare, _ := strings.Cut(string(content), "\n")
	if err := os.WriteFile(path, []byte(bare), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A secret that another process has made meanwhile is told of, and the process keeps its own.
func TestSecretOfAnotherProcess(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	var told troubles
	ring := told.of(newRing(t, dir, time.Now))
	before, err := ring.Secret()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := newRing(t, dir, time.Now).Secret(); err != nil {
		t.Fatal(err)
	}
	ring.Check()
	told.checkTold(t, filepath.Join(dir, "keys", "token.secret"), "another process")
	if after, err := ring.Secret(); err != nil || string(after) != string(before) {
		t.Errorf("the secret has changed, %v", err)
	}
}

// A ring loads its authority while requests ask for it: the race detector watches.
func TestLoadWhileServing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := newRing(t, dir, time.Now).Authority(); err != nil {
		t.Fatal(err)
	}
	ring := newRing(t, dir, time.Now)
	var serving sync.WaitGroup
	serving.Go(func() {
		if _, err := ring.Authority(); err != nil {
			t.Error(err)
		}
		ring.Check()
	})
	if err := ring.Load(); err != nil {
		t.Error(err)
	}
	serving.Wait()
}

// A damaged file of another process is told of, hides no other file, and is read again once it is mended.
func TestDamagedFileOfAnotherProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var told troubles
	ring, other := told.of(newRing(t, dir, time.Now)), newRing(t, dir, time.Now)
	published(t, ring.Google())
	rotate(t, other.Google(), keys.KeepAll) // makes a third key
	rotate(t, other.Google(), keys.KeepAll) // makes a fourth key
	made := ids(published(t, other.Google()))
	path := filepath.Join(dir, "keys", "google", "3.pem")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	past := time.Now().Add(-time.Hour)
	write := func(content []byte) {
		t.Helper()
		if err := errors.Join(os.WriteFile(path, content, 0o600), os.Chtimes(filepath.Dir(path), past, past)); err != nil {
			t.Fatal(err)
		}
	}
	write(whole[:len(whole)/2])
	known, err := ring.Google().Known()
	if err != nil || !slices.Contains(ids(known), made[3]) || slices.Contains(ids(known), made[2]) {
		t.Errorf("with a damaged file, the keys are %v, %v; want all of %v except the third", ids(known), err, made)
	}
	told.checkTold(t, path)
	write(whole)
	if known, err = ring.Google().Known(); err != nil || !slices.Contains(ids(known), made[2]) {
		t.Errorf("with the mended file, the keys are %v, %v; want all of %v", ids(known), err, made)
	}
}
