package keys_test

import (
	"maps"
	"path"
	"slices"
	"sync"
	"testing"
	"time"

	"gcp-metadata-emulator/keys"
)

// common are files that several rings of a test share.
type common struct {
	mu      sync.Mutex
	version int64
	data    map[string][]byte
	written map[string]int64
}

func (c *common) List(folder string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for _, name := range slices.Sorted(maps.Keys(c.data)) {
		if path.Dir(name) == folder {
			names = append(names, path.Base(name))
		}
	}
	return names
}

func (c *common) Version(folder string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	var last int64
	for name, at := range c.written {
		if path.Dir(name) == folder {
			last = max(last, at)
		}
	}
	return last
}

func (c *common) Read(name string) ([]byte, int64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	data, ok := c.data[name]
	return data, c.written[name], ok
}

func (c *common) Create(name string, data []byte) (bool, error) {
	if _, _, taken := c.Read(name); taken {
		return false, nil
	}
	return true, c.Write(name, data)
}

func (c *common) Write(name string, data []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version++
	c.data[name], c.written[name] = data, c.version
	return nil
}

func (c *common) Remove(names []string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range names {
		delete(c.data, name)
	}
	return nil
}

// Rings that share files have the same keys, before and after a rotation.
func TestSharedRings(t *testing.T) {
	t.Parallel()
	files := &common{data: map[string][]byte{}, written: map[string]int64{}}
	a, b := keys.NewSharedRing(files, time.Now), keys.NewSharedRing(files, time.Now)
	for _, ring := range []*keys.Ring{a, b} {
		if err := ring.Load(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(ring.Wait)
	}
	same := func() string {
		t.Helper()
		first, err := a.Google().Active(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Google().Known(); err != nil { // looks at once, where Active may be late
			t.Fatal(err)
		}
		second, err := b.Google().Active(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if first.ID() != second.ID() {
			t.Errorf("the rings sign with %q and %q", first.ID(), second.ID())
		}
		return first.ID()
	}
	before := same()
	if err := a.Rotate(t.Context(), keys.KeepAll); err != nil {
		t.Fatal(err)
	}
	if after := same(); after == before {
		t.Error("the rotation changed nothing")
	}
	if _, known, err := b.Google().Find(t.Context(), before); !known || err != nil {
		t.Errorf("the retired key is not published: %v", err)
	}
	one, err := a.Secret()
	if err != nil {
		t.Fatal(err)
	}
	if other, err := b.Secret(); err != nil || string(other) != string(one) {
		t.Errorf("the rings have different secrets, %v", err)
	}
	id := a.KeepContent([]byte("long"))
	if got, ok, err := b.KeptContent(id); !ok || err != nil || string(got) != "long" {
		t.Errorf("the other ring has %q, %t, %v", got, ok, err)
	}
}
