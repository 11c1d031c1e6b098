package keys_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/keys"
)

func keep(t *testing.T, ring *keys.Ring, content string) keys.ContentID {
	t.Helper()
	return ring.KeepContent([]byte(content))
}

// checkKept checks the content that a ring has under an ID. Empty means that it has none.
func checkKept(t *testing.T, ring *keys.Ring, id keys.ContentID, want string) {
	t.Helper()
	got, ok, err := ring.KeptContent(id)
	if err != nil || ok != (want != "") || string(got) != want {
		t.Errorf("kept %q, %t, %v; want %q", got, ok, err, want)
	}
}

// Every process with the same directory finds what one of them has kept, and no other process does.
func TestKeepContent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, rings := range map[string][2]*keys.Ring{
		"one ring":        {newRing(t, "", time.Now)},
		"two processes":   {newRing(t, dir, time.Now), newRing(t, dir, time.Now)},
		"a later process": {newRing(t, dir, time.Now), newRing(t, dir, time.Now)},
	} {
		reader := rings[1]
		if reader == nil {
			reader = rings[0]
		}
		id := keep(t, rings[0], name)
		if again := keep(t, rings[0], name); again != id {
			t.Errorf("%s: kept under %x, then under %x", name, id, again)
		}
		checkKept(t, reader, id, name)
		checkKept(t, newRing(t, "", time.Now), id, "")
		checkKept(t, reader, keys.ContentID{}, "")
	}
}

// A changed file is not the content that the token refers to.
func TestKeptContentWasChanged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	id := keep(t, newRing(t, dir, time.Now), "admin: false")
	if err := os.WriteFile(filepath.Join(dir, "contents", fmt.Sprintf("%x", id)), []byte("admin: true"), 0o600); err != nil {
		t.Fatal(err)
	}
	checkKept(t, newRing(t, dir, time.Now), id, "")
}

// The oldest content gives way to new content, in memory and in the directory.
func TestKeptContentIsBounded(t *testing.T) {
	t.Parallel()
	const most = 4096
	dir := t.TempDir()
	folder := filepath.Join(dir, "contents")
	first := keep(t, newRing(t, dir, time.Now), "first")
	past := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(folder, fmt.Sprintf("%x", first)), past, past); err != nil {
		t.Fatal(err)
	}
	for i := range most - 1 {
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%032x", i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ring := newRing(t, dir, time.Now)
	checkKept(t, ring, first, "first")
	last := keep(t, ring, "last")
	later := newRing(t, dir, time.Now)
	checkKept(t, later, last, "last")
	checkKept(t, later, first, "")
	if files, err := os.ReadDir(folder); err != nil || len(files) != most {
		t.Errorf("%d files, %v; want %d", len(files), err, most)
	}

	inMemory := newRing(t, "", time.Now)
	large := strings.Repeat("x", 6<<20)
	oldest, newest := keep(t, inMemory, large+"1"), keys.ContentID{}
	for i := range 2 {
		newest = keep(t, inMemory, fmt.Sprintf("%s, %d", large, i))
	}
	checkKept(t, inMemory, oldest, "")
	if _, ok, err := inMemory.KeptContent(newest); !ok || err != nil {
		t.Errorf("the newest content is not kept, %v", err)
	}
}
