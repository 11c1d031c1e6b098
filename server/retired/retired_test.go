package retired_test

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"gcp-metadata-emulator/server/retired"
)

func retire(t *testing.T, set retired.Set, id string) (again bool) {
	t.Helper()
	again, err := set.Retire(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return again
}

func TestIDsSortByAge(t *testing.T) {
	t.Parallel()
	var made []string
	for range 10_000 {
		made = append(made, retired.NewID())
	}
	if !slices.IsSorted(made) || len(slices.Compact(slices.Clone(made))) != len(made) {
		t.Error("IDs do not sort in the order in which they were made, or one was made twice")
	}
}

// However many IDs are retired, and in whatever order, none is good again, and newer IDs are good.
func TestWhatIsForgottenStaysRetired(t *testing.T) {
	t.Parallel()
	const size, count = 100, 1000
	for name, order := range map[string]func([]string){"oldest first": func([]string) {}, "newest first": slices.Reverse[[]string]} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := retired.NewSet(size)
			var ids []string
			for range count {
				ids = append(ids, retired.NewID())
			}
			order(ids)
			for _, id := range ids {
				retire(t, set, id)
			}
			for at, id := range ids {
				if !set.Has(id) || !retire(t, set, id) {
					t.Fatalf("the ID retired at position %d is good again", at)
				}
			}
			next := retired.NewID()
			if set.Has(next) || retire(t, set, next) || !retire(t, set, next) {
				t.Error("a new ID is retired from the start, or can be retired twice")
			}
		})
	}
}

func TestOldIDsAreGoodUntilTheSetForgets(t *testing.T) {
	t.Parallel()
	set, between := retired.NewSet(2), retired.NewID()
	for _, id := range []string{retired.NewID(), retired.NewID()} {
		retire(t, set, id)
	}
	if set.Has(between) || set.Has("of an earlier version") {
		t.Error("an ID is retired before the set has forgotten one")
	}
	retire(t, set, "of an earlier version")
	if set.Has(between) || !set.Has("of an earlier version") || !set.Has("another of an earlier version") {
		t.Error("the ID without a time did not give way, or counts as good, or other IDs are retired with it")
	}
	retire(t, set, retired.NewID())
	if !set.Has(between) {
		t.Error("an ID as old as one that was forgotten is good")
	}
	set.Reset()
	if set.Has(between) || set.Has("of an earlier version") {
		t.Error("after a reset, an ID is retired")
	}
}

func TestOneCallRetires(t *testing.T) {
	t.Parallel()
	set, id := retired.NewSet(10), retired.NewID()
	var first atomic.Int32
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if again, err := set.Retire(t.Context(), id); err == nil && !again {
				first.Add(1)
			}
		})
	}
	if group.Wait(); first.Load() != 1 {
		t.Errorf("%d calls were the first", first.Load())
	}
}
