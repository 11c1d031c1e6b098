package keys_test

import (
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/keys"
)

// moved is a clock for tests to move.
type moved struct{ unix atomic.Int64 }

func (m *moved) now() time.Time { return time.Unix(m.unix.Load(), 0) }

func (m *moved) to(text string) { m.unix.Store(at(text)().Unix()) }

// After any moves of the clock, every active or published key is valid. Keys of key files stay.
func TestEveryTimeHasItsKeys(t *testing.T) {
	t.Parallel()
	var clock moved
	ring := newRing(t, "", clock.now)
	first := map[string]string{}
	for _, now := range []string{
		"2026-11-01T00:00:00Z", "1999-05-04T03:02:01Z", "1970-01-01T00:00:00Z", "2026-10-31T23:00:00Z", "9998-12-31T23:59:59Z", "2026-11-01T00:00:00Z",
	} {
		clock.to(now)
		for name, set := range map[string]*keys.Set{"google": ring.Google(), "system": ring.System("a@b.c"), "user": ring.User("a@b.c", "1")} {
			if got := active(t, set).ID(); first[name+now] == "" {
				first[name+now] = got
			} else if got != first[name+now] {
				t.Errorf("%s: at %s again the active key is %s, and was %s", name, now, got, first[name+now])
			}
			all := published(t, set)
			if !slices.Contains(ids(all), first[name+now]) {
				t.Errorf("%s: at %s the active key is not published", name, now)
			}
			if name == "user" {
				if len(all) != 1 || first[name+now] != first[name+"2026-11-01T00:00:00Z"] {
					t.Errorf("at %s a key file's key changed (%d keys)", now, len(all))
				}
				continue
			}
			for _, key := range all {
				if certificate := certificate(t, key); certificate.NotBefore.After(clock.now()) || !certificate.NotAfter.After(clock.now()) {
					t.Errorf("%s: at %s a key is published that is valid from %v to %v", name, now, certificate.NotBefore, certificate.NotAfter)
				}
			}
		}
	}
}

// Keys from a moved clock are invisible to other processes, and cause no trouble later.
func TestKeepWhile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var clock moved
	var lasts atomic.Bool
	clock.to("2026-11-01T00:00:00Z")
	ring, elsewhere := newRing(t, dir, clock.now), newRing(t, dir, clock.now)
	ring.KeepWhile(lasts.Load)
	known := func(ring *keys.Ring) []string {
		t.Helper()
		all, err := ring.Google().Known()
		if err != nil {
			t.Fatal(err)
		}
		return ids(all)
	}
	own := ids(published(t, ring.Google()))
	if got := known(elsewhere); len(own) != 2 || len(got) != 0 {
		t.Fatalf("%d keys were made, and %d kept", len(own), len(got))
	}

	others := ids(published(t, elsewhere.Google()))
	if diff := cmp.Diff(append(slices.Clone(own), others...), known(ring)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	rotate(t, ring.Google(), 0)
	if got := active(t, elsewhere.Google()).ID(); got != others[0] || slices.Contains(known(ring), own[0]) {
		t.Errorf("a temporary rotation was written to disk, or did not happen: %s is active elsewhere", got)
	}

	lasts.Store(true)
	rotate(t, elsewhere.Google(), keys.KeepAll)
	added, err := ring.Google().Add(1024)
	if err != nil {
		t.Fatal(err)
	}
	if got := known(elsewhere); !slices.Contains(got, added.ID()) {
		t.Errorf("%s was not kept: %v", added.ID(), got)
	}
	for _, id := range known(elsewhere) {
		if id != others[0] && !slices.Contains(known(ring), id) {
			t.Errorf("%s, which was made elsewhere, is not known", id)
		}
	}
}

// After a reset of the clock, the next key stays the next key. A verifier with the published
// keys therefore knows the signing key after a rotation.
func TestNextIsActiveAfterClock(t *testing.T) {
	t.Parallel()
	var clock moved
	var lasts atomic.Bool
	clock.to("2026-11-01T00:00:00Z")
	dir := t.TempDir()
	ring := newRing(t, dir, clock.now)
	ring.KeepWhile(lasts.Load)
	set := ring.Google()
	for _, kept := range []bool{true, false, true, true, false, false, true, true} {
		lasts.Store(kept)
		before := ids(published(t, set))
		rotate(t, set, keys.KeepAll)
		if got, want := active(t, set).ID(), before[len(before)-1]; got != want {
			t.Errorf("a rotation that lasts: %t; %s is active, and %s was next of %v", kept, got, want, before)
		}
	}
	for range 5 { // there are more than nine files then, and 10 comes before 2 in a listing
		rotate(t, set, keys.KeepAll)
	}
	later := newRing(t, dir, clock.now).Google()
	kept := ids(published(t, later))
	here := slices.DeleteFunc(ids(published(t, set)), func(id string) bool { return !slices.Contains(kept, id) })
	if diff := cmp.Diff(kept, here); diff != "" {
		t.Errorf("two processes have different orders of keys (-want +got):\n%s", diff)
	}
}

// A call of Ready is enough to start making a key.
func TestReady(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var clock moved
		clock.to("2026-11-01T00:00:00Z")
		set := newRing(t, "", clock.now).Google()
		for _, now := range []string{"2026-11-01T00:00:00Z", "2027-11-01T00:00:00Z", "2026-10-01T00:00:00Z"} {
			clock.to(now)
			for _, want := range []bool{false, true} {
				if got, err := set.Ready(); err != nil || got != want {
					t.Errorf("at %s: Ready = %v, %v; want %v", now, got, err, want)
				}
				synctest.Wait()
			}
		}
	})
}
