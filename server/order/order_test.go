package order_test

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	"gcp-metadata-emulator/server/order"
)

type pair struct{ key, place int }

func byKey(a, b pair) int { return cmp.Compare(a.key, b.key) }

// The results are those of package slices, for lists of any length.
func TestSort(t *testing.T) {
	t.Parallel()
	for length := range 200 {
		list := make([]pair, length)
		for i := range list {
			list[i] = pair{rand.IntN(20), i} //nolint:gosec // no secret
		}
		want := slices.Clone(list)
		slices.SortStableFunc(want, byKey)
		stable, quick := slices.Clone(list), slices.Clone(list)
		order.SortStable(stable, byKey)
		order.Sort(quick, byKey)
		if !slices.Equal(stable, want) {
			t.Errorf("%v is sorted as %v, want %v", list, stable, want)
		}
		if !slices.IsSortedFunc(quick, byKey) {
			t.Errorf("%v is sorted as %v", list, quick)
		}
		slices.SortFunc(quick, func(a, b pair) int { return cmp.Or(byKey(a, b), cmp.Compare(a.place, b.place)) })
		if !slices.Equal(quick, want) {
			t.Errorf("sorted, %v has other elements: %v", list, quick)
		}
	}
}
