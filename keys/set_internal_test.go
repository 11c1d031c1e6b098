package keys

import (
	"testing"
	"time"
)

// This test is in package keys because the time of the last look at a folder is not exported.

// A token of another process is valid at once, although not every request looks at the folder.
func TestOtherProcessesKeysAreFound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	here, there := NewRing(dir, time.Now).User("a@b.c", "1"), NewRing(dir, time.Now).User("a@b.c", "1")
	if _, err := here.Published(t.Context()); err != nil {
		t.Fatal(err)
	}
	made, err := there.Add(1024)
	if err != nil {
		t.Fatal(err)
	}
	here.look.Store(int64(time.Hour))
	if found, ok, err := here.Find(t.Context(), made.ID()); err != nil || !ok || found.ID() != made.ID() {
		t.Errorf("Find = %v, %v; want the key made elsewhere", ok, err)
	}
	if _, ok, err := here.Find(t.Context(), "nobody's"); err != nil || ok {
		t.Errorf("Find of no key = %v, %v", ok, err)
	}
}
