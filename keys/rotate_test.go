package keys_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/keys"
)

// states describes the published keys: the state of each, and its number in the order of the
// test.
type states struct{ seen []string }

func (s *states) of(t *testing.T, set *keys.Set) []string {
	t.Helper()
	all, err := set.States()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, key := range all {
		number := -1
		for i, id := range s.seen {
			if id == key.ID() {
				number = i
			}
		}
		if number < 0 {
			number = len(s.seen)
			s.seen = append(s.seen, key.ID())
		}
		lines = append(lines, fmt.Sprintf("%d %s", number, key.State))
	}
	return lines
}

func rotate(t *testing.T, set *keys.Set, keep int) {
	t.Helper()
	if err := set.Rotate(context.Background(), keep); err != nil {
		t.Fatal(err)
	}
}

// Signatures from before a rotation can be verified for a day, by this process and by every
// other process with the same directory.
func TestRotate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var now atomic.Int64
	now.Store(at("2026-11-01T00:00:00Z")().Unix())
	clock := func() time.Time { return time.Unix(now.Load(), 0) }
	set, elsewhere := newRing(t, dir, clock).Google(), newRing(t, dir, clock).Google()
	published(t, elsewhere)

	names := &states{}
	check := func(what string, want ...string) {
		t.Helper()
		later := newRing(t, dir, clock).Google() // a process that starts now
		for _, place := range []*keys.Set{set, elsewhere, later} {
			if diff := cmp.Diff(want, names.of(t, place)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
			if active(t, place).ID() != names.seen[len(names.seen)-2] {
				t.Errorf("%s: the next key did not become the active key", what)
			}
			if diff := cmp.Diff(len(want), len(published(t, place))); diff != "" {
				t.Errorf("%s: published (-want +got):\n%s", what, diff)
			}
		}
	}
	check("at first", "0 active", "1 next")
	rotate(t, set, keys.KeepAll)
	check("one rotation", "0 retired", "1 active", "2 next")
	now.Add(int64(time.Hour / time.Second))
	rotate(t, elsewhere, keys.KeepAll)
	check("an hour later", "0 retired", "1 retired", "2 active", "3 next")
	now.Add(int64(23 * time.Hour / time.Second))
	check("a day after the first", "1 retired", "2 active", "3 next")
	rotate(t, set, 1)
	check("keep one", "2 retired", "3 active", "4 next")
	rotate(t, set, 0)
	check("keep none", "4 active", "5 next")
}

func TestRotateInMemory(t *testing.T) {
	t.Parallel()
	set, names := newRing(t, "", at("2026-11-01T00:00:00Z")).System("a@b.c"), &states{}
	active(t, set)
	rotate(t, set, keys.KeepAll)
	if diff := cmp.Diff([]string{"0 retired", "1 active"}, names.of(t, set)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Every added key is different, also if several processes add keys at once.
func TestAdd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, sets := range map[string][]*keys.Set{
		"two processes": {newRing(t, dir, time.Now).User("a@b.c", "1"), newRing(t, dir, time.Now).User("a@b.c", "1")},
		"in memory":     {newRing(t, "", time.Now).User("a@b.c", "1")},
	} {
		var mu sync.Mutex
		added := map[string]bool{}
		var group sync.WaitGroup
		const each = 4
		for _, set := range sets {
			for range each {
				group.Go(func() {
					key, err := set.Add(1024)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					defer mu.Unlock()
					added[key.ID()] = true
				})
			}
		}
		group.Wait()
		for _, set := range sets {
			known, err := set.Known()
			if err != nil || len(known) != each*len(sets) || len(added) != len(known) {
				t.Errorf("%s: %d keys known, %d added, want %d of each (%v)", name, len(known), len(added), each*len(sets), err)
			}
			for _, key := range known {
				if !added[key.ID()] || key.Public().Size() != 1024/8 {
					t.Errorf("%s: key %s is missing, or has the wrong size", name, key.ID())
				}
			}
		}
	}
}
