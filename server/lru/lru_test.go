package lru_test

import (
	"testing"

	"gcp-metadata-emulator/server/lru"
)

func TestCacheForgetsTheLeastRecentlyUsed(t *testing.T) {
	t.Parallel()
	cache := lru.New[string, int](2)
	cache.Add("a", 1)
	cache.Add("b", 2)
	cache.Get("a")
	cache.Add("c", 3)
	if cache.Contains("b") || !cache.Contains("a") || !cache.Contains("c") {
		t.Errorf("the cache holds %q, want a and c", cache.Keys())
	}
}

func TestCacheNeedsRoom(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("a cache for no entries was made")
		}
	}()
	lru.New[string, int](0)
}
