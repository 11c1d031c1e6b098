package store_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gcp-metadata-emulator/server/store"
)

func TestUpdate(t *testing.T) {
	t.Parallel()
	s := store.New("a")
	first := s.Load()
	if first.State != "a" || first.Revision != 1 {
		t.Fatalf("first version is %+v", first)
	}
	wrong := errors.New("wrong")
	if err := s.Update(func(string) (string, error) { return "x", wrong }); !errors.Is(err, wrong) {
		t.Errorf("Update = %v, want %v", err, wrong)
	}
	select {
	case <-first.Changed:
		t.Fatal("a failed update counts as a change")
	default:
	}
	if err := s.Update(func(old string) (string, error) { return old + "b", nil }); err != nil {
		t.Fatal(err)
	}
	<-first.Changed
	if second := s.Load(); second.State != "ab" || second.Revision != 2 || first.State != "a" {
		t.Errorf("versions are %+v, %+v", first, second)
	}
}

// A reader that loads, checks and waits finally sees every change.
func TestNoLostWakeUp(t *testing.T) {
	t.Parallel()
	const changes = 1000
	s := store.New(0)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for {
				snapshot := s.Load()
				if snapshot.State == changes {
					return
				}
				<-snapshot.Changed
			}
		})
	}
	for range changes {
		if err := s.Update(func(n int) (int, error) { return n + 1, nil }); err != nil {
			t.Fatal(err)
		}
	}
	group.Wait()
}

// This process's own part of the value goes on from version to version, and readers are woken when it
// changes.
func TestCarryAndWake(t *testing.T) {
	t.Parallel()
	type value struct {
		shared string
		own    *int
	}
	own := new(int)
	s := store.New(&value{"a", own})
	s.Carry(func(from, to *value) { to.own = from.own })
	if err := s.Update(func(*value) (*value, error) { return &value{"b", nil}, nil }); err != nil {
		t.Fatal(err)
	}
	carried := s.Load()
	if *carried.State != (value{"b", own}) {
		t.Errorf("the new version is %+v", carried.State)
	}
	s.Wake()
	<-carried.Changed
	if woken := s.Load(); woken.State != carried.State || woken.Revision != carried.Revision+1 {
		t.Errorf("woken, the version is %+v", woken)
	}
}

// slowKeeper gives an update up after a second, which is less than it needs.
type slowKeeper struct{ replace error }

var errLate = errors.New("too late")

func (slowKeeper) Bound() (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(context.Background(), time.Second, errLate)
}

func (k slowKeeper) Replace(ctx context.Context, _, _ string) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(time.Second / 10):
		return k.replace
	}
}

// However many updates wait for each other, and however often an update is made again, each of them ends
// in time.
func TestUpdatesEndInTime(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		replace  error
		succeeds int
	}{
		"slow":              {nil, 10},
		"outdated for ever": {store.ErrOutdated, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := store.NewKept("", slowKeeper{test.replace})
				begun := time.Now()
				var late atomic.Int32
				var group sync.WaitGroup
				const writers = 100
				for range writers {
					group.Go(func() {
						if err := s.Update(func(old string) (string, error) { return old, nil }); errors.Is(err, errLate) {
							late.Add(1)
						}
					})
				}
				group.Wait()
				if took := time.Since(begun); took > 2*time.Second {
					t.Errorf("the last update has ended after %v", took)
				}
				if got := writers - int(late.Load()); got > test.succeeds {
					t.Errorf("%d updates have succeeded, want at most %d", got, test.succeeds)
				}
			})
		})
	}
}
