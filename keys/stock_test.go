package keys_test

import (
	"sync"
	"testing"
	"time"

	"gcp-metadata-emulator/keys"
)

// Rings of one stock have the same private keys, but different key IDs.
func TestStock(t *testing.T) {
	t.Parallel()
	const rings = 8
	stock := keys.NewStock()
	found := make([][]*keys.Key, rings)
	var all sync.WaitGroup
	for i := range rings {
		all.Go(func() { found[i] = published(t, stock.NewRing(time.Now).Google()) })
	}
	all.Wait()

	known := map[string]bool{}
	moduli := map[string]bool{}
	for _, published := range found {
		if len(published) != 2 || published[0].Public().Equal(published[1].Public()) {
			t.Fatalf("a ring has %d keys, or the same key twice", len(published))
		}
		for _, key := range published {
			if known[key.ID()] {
				t.Errorf("two keys have the ID %s", key.ID())
			}
			known[key.ID()] = true
			moduli[key.Public().N.String()] = true
		}
	}
	if len(moduli) != 2 {
		t.Errorf("%d keys were made for rings that need two each", len(moduli))
	}
}

// Rings of one stock do not affect each other.
func TestStockIsShared(t *testing.T) {
	t.Parallel()
	stock := keys.NewStock()
	one, other := stock.NewRing(time.Now), stock.NewRing(time.Now)
	before := active(t, other.Google()).ID()
	if err := one.Google().Rotate(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if after := active(t, other.Google()).ID(); after != before {
		t.Errorf("another ring's key changed from %s to %s", before, after)
	}
}
