package recordstest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/records"
)

// Contract tests that a store keeps the promises of records.Store. join returns the access of
// another replica to the same records. At first, there are no records.
func Contract(t *testing.T, join func() records.Store) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, string, func() records.Store){
		"changes reach every copy": changesReachCopies, "conditions": conditionsHold, "one of many wins": oneWins, "records end": recordsEnd,
	} {
		t.Run(name, func(t *testing.T) { test(t, fmt.Sprintf("%x", name), join) })
	}
}

// commit is Commit, which must succeed.
func commit(t *testing.T, s records.Store, change records.Change) {
	t.Helper()
	if err := s.Commit(t.Context(), change); err != nil {
		t.Fatal(err)
	}
}

// values returns the values in a folder, by name.
func values(s records.Store, folder string) map[string]string {
	found := map[string]string{}
	for _, record := range s.Copy().List(folder) {
		found[record.Name[len(folder)+1:]] = string(record.Value)
	}
	return found
}

func changesReachCopies(t *testing.T, folder string, join func() records.Store) {
	t.Helper()
	a, b := join(), join()
	var mu sync.Mutex
	var told []string
	b.Copy().Follow(folder, func(changed []records.Record) {
		mu.Lock()
		defer mu.Unlock()
		for _, record := range changed {
			told = append(told, fmt.Sprint(record.Name[len(folder)+1:], " ", string(record.Value), " ", record.Gone, " of ", len(changed)))
		}
	})
	commit(t, a, records.Change{Put: []records.Entry{{Name: folder + "/x", Value: []byte("1")}}})
	commit(t, a, records.Change{Put: []records.Entry{{Name: folder + "/y", Value: []byte("2")}, {Name: folder + "/below/z", Value: []byte("3")}}})
	commit(t, b, records.Change{Put: []records.Entry{{Name: folder + "/x", Value: []byte("4")}}, Delete: []string{folder + "/y", folder + "/absent"}})
	late := join()
	for _, s := range []records.Store{a, b, late} {
		if err := s.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]string{"x": "4"}, values(s, folder)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		x, _ := s.Copy().Find(folder + "/x")
		z, _ := s.Copy().Find(folder + "/below/z")
		if x.Version <= x.Created || x.Created >= z.Created || s.Copy().Changes(folder+"/below") == 0 {
			t.Errorf("versions are %+v, %+v", x, z)
		}
	}
	mu.Lock()
	all := slices.Clone(told)
	mu.Unlock()
	if len(all) != 4 || all[0] != "x 1 false of 1" || all[1] != "y 2 false of 1" {
		t.Errorf("told of %q", all)
	}
	commit(t, late, records.Change{Folders: []string{folder}})
	if got := values(late, folder); len(got) > 0 {
		t.Errorf("the folder has %v", got)
	}
}

func conditionsHold(t *testing.T, folder string, join func() records.Store) {
	t.Helper()
	a, b := join(), join()
	name := folder + "/x"
	put := func(value string) []records.Entry { return []records.Entry{{Name: name, Value: []byte(value)}} }
	commit(t, a, records.Change{If: []records.Condition{{Name: name}}, Put: put("1")})
	first, _ := a.Copy().Find(name)
	for _, version := range []int64{0, first.Version + 1} {
		if err := b.Commit(t.Context(), records.Change{If: []records.Condition{{Name: name, Version: version}}, Put: put("2")}); !errors.Is(err, records.ErrConflict) {
			t.Errorf("of version %d: %v", version, err)
		}
		if seen, _ := b.Copy().Find(name); seen.Version != first.Version {
			t.Errorf("after the conflict, the copy has version %d, want %d", seen.Version, first.Version)
		}
	}
	commit(t, b, records.Change{If: []records.Condition{{Name: name, Version: first.Version}}, Put: put("3")})
	if got := values(b, folder)["x"]; got != "3" {
		t.Errorf("the value is %q", got)
	}
}

func oneWins(t *testing.T, folder string, join func() records.Store) {
	t.Helper()
	stores := []records.Store{join(), join(), join()}
	var mu sync.Mutex
	won := 0
	var group sync.WaitGroup
	for i := range 60 {
		group.Go(func() {
			err := stores[i%len(stores)].Commit(t.Context(), records.Change{
				If: []records.Condition{{Name: folder + "/x"}}, Put: []records.Entry{{Name: folder + "/x", Value: []byte("1")}},
			})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won++
			case !errors.Is(err, records.ErrConflict):
				t.Error(err)
			}
		})
	}
	if group.Wait(); won != 1 {
		t.Errorf("%d changes were the first", won)
	}
}

func recordsEnd(t *testing.T, folder string, join func() records.Store) {
	t.Helper()
	a, b := join(), join()
	gone := make(chan struct{})
	b.Copy().Follow(folder, func(changed []records.Record) {
		for _, record := range changed {
			if record.Gone && record.Name == folder+"/short" {
				close(gone)
			}
		}
	})
	commit(t, a, records.Change{Put: []records.Entry{
		{Name: folder + "/short", Lasts: time.Second}, {Name: folder + "/long", Lasts: time.Hour}, {Name: folder + "/mine", Mine: true},
	}})
	if got := values(b, folder); len(got) != 3 {
		if err := b.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-gone:
	case <-t.Context().Done():
		t.Fatal(context.Cause(t.Context()))
	}
	if got := values(b, folder); len(got) != 2 {
		t.Errorf("records are %v", got)
	}
}
