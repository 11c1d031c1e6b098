package store_test

import (
	"errors"
	"sync"
	"testing"

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
