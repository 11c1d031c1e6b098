// Package order sorts lists of values that are not pointers, strings or numbers.
//
// It replaces slices.SortFunc and slices.SortStableFunc. They bring a copy of the whole algorithm for each
// type of elements, up to 25 kB; package order brings the three methods that package sort calls. It decides
// no order.
//
// So there is one way to sort each list. Lists of pointers, strings and numbers go to package slices, because
// all pointers share one copy. Lists of other values come here. The exception is server/control: it sorts
// with sort.Slice what replicas have answered, because that compares large elements without copying them.
package order

import "sort"

// Sort sorts a list. Equal elements may change places.
func Sort[T any](list []T, compare func(a, b T) int) { sort.Sort(by[T]{list, compare}) }

// SortStable sorts a list. Equal elements keep their places.
func SortStable[T any](list []T, compare func(a, b T) int) { sort.Stable(by[T]{list, compare}) }

// by sorts by a function.
type by[T any] struct {
	list    []T
	compare func(a, b T) int
}

func (b by[T]) Len() int { return len(b.list) }

func (b by[T]) Less(i, j int) bool { return b.compare(b.list[i], b.list[j]) < 0 }

func (b by[T]) Swap(i, j int) { b.list[i], b.list[j] = b.list[j], b.list[i] }
