// Package lru makes the caches of the server: each holds a fixed number of entries, and forgets the
// least recently used entry when it needs room.
//
// It does not decide when an entry is out of date; the packages with a cache do.
package lru

import lru "github.com/hashicorp/golang-lru/v2"

// Cache is a cache that is safe for concurrent use.
type Cache[K comparable, V any] = lru.Cache[K, V]

// New returns an empty cache for a number of entries, which is a constant of the program: New panics
// if it is below 1.
func New[K comparable, V any](size int) *Cache[K, V] {
	made, err := lru.New[K, V](size)
	if err != nil {
		panic(err)
	}
	return made
}
