package records

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"path"
	"slices"
	"sync"

	"gcp-metadata-emulator/server/order"
)

// Copy is a process's copy of the records. Its reader methods are safe for concurrent use, and do not
// wait. Only the process's Store calls Apply and Replace.
type Copy struct {
	applying sync.Mutex // held while changes are applied, so that followers see them in their order

	mu        sync.RWMutex
	folders   map[string]*folder
	seen      int64         // every change up to this version has been applied, and its followers called
	progress  chan struct{} // closed when seen grows
	followers []follower
}

type folder struct {
	records map[string]Record // by name
	changes int64             // of its records that were applied
}

type follower struct {
	folder string
	call   func([]Record)
}

// NewCopy returns an empty copy.
func NewCopy() *Copy {
	return &Copy{folders: map[string]*folder{}, progress: make(chan struct{})}
}

// Find returns a record by its name.
func (c *Copy) Find(name string) (Record, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	in, ok := c.folders[path.Dir(name)]
	if !ok {
		return Record{}, false
	}
	found, ok := in.records[name]
	return found, ok
}

// List returns the records in a folder, without those in folders below it, in the order of their names.
func (c *Copy) List(name string) []Record {
	c.mu.RLock()
	defer c.mu.RUnlock()
	in, ok := c.folders[name]
	if !ok {
		return nil
	}
	list := slices.Collect(maps.Values(in.records))
	order.Sort(list, func(a, b Record) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// Count returns the number of records in a folder.
func (c *Copy) Count(name string) int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if in, ok := c.folders[name]; ok {
		return len(in.records)
	}
	return 0
}

// Changes returns a number that is larger after every change in a folder of this copy, or 0 if nothing has
// ever been there. It grows too when the store goes back to earlier versions.
func (c *Copy) Changes(name string) int64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if in, ok := c.folders[name]; ok {
		return in.changes
	}
	return 0
}

// Seen returns the version up to which the copy has every change.
func (c *Copy) Seen() int64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.seen
}

// Follow calls a function with the present records of a folder, and later with the changed records of
// each change there, also with deleted records. Calls come one at a time, in the order of the changes.
// The function must not commit anything.
func (c *Copy) Follow(name string, call func([]Record)) {
	c.applying.Lock()
	defer c.applying.Unlock()
	c.mu.Lock()
	c.followers = append(c.followers, follower{name, call})
	c.mu.Unlock()
	if present := c.List(name); len(present) > 0 {
		call(present)
	}
}

// Await returns when the copy has every change up to a version, or with the cause of the context's end.
func (c *Copy) Await(ctx context.Context, version int64) error {
	for {
		c.mu.RLock()
		seen, progress := c.seen, c.progress
		c.mu.RUnlock()
		if seen >= version {
			return nil
		}
		select {
		case <-progress:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Apply applies changed records. With them, the copy has every change up to a version.
func (c *Copy) Apply(version int64, changed []Record) {
	c.applying.Lock()
	defer c.applying.Unlock()
	c.apply(version, changed)
}

// Replace applies all records at a version, if a copy may have missed changes, or has changes that the
// store has lost. If the version is lower than Seen, the copy goes back.
func (c *Copy) Replace(version int64, all []Record) {
	c.applying.Lock()
	defer c.applying.Unlock()
	exists := make(map[string]Record, len(all))
	for _, record := range all {
		exists[record.Name] = record
	}
	c.mu.Lock()
	c.seen = min(c.seen, version-1)
	c.mu.Unlock()
	var changed []Record
	c.mu.RLock()
	for _, in := range c.folders {
		for name, known := range in.records {
			switch at, ok := exists[name]; {
			case !ok:
				changed = append(changed, Record{Name: name, Version: version, Gone: true})
			case at.Version == known.Version && bytes.Equal(at.Value, known.Value):
				delete(exists, name)
			}
		}
	}
	c.mu.RUnlock()
	for _, record := range all {
		if _, isNew := exists[record.Name]; isNew {
			changed = append(changed, record)
		}
	}
	c.apply(version, changed)
}

// apply is Apply. The caller must hold applying.
func (c *Copy) apply(version int64, changed []Record) {
	byFolder := map[string][]Record{}
	c.mu.Lock()
	for _, record := range changed {
		name := path.Dir(record.Name)
		byFolder[name] = append(byFolder[name], record)
		c.put(name, record)
	}
	followers := c.followers
	c.mu.Unlock()
	for _, one := range followers {
		if news := byFolder[one.folder]; len(news) > 0 {
			one.call(news)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = max(c.seen, version)
	close(c.progress)
	c.progress = make(chan struct{})
}

// put stores a changed record. The caller must hold mu.
func (c *Copy) put(name string, record Record) {
	in, ok := c.folders[name]
	if !ok {
		in = &folder{records: map[string]Record{}}
		c.folders[name] = in
	}
	in.changes++
	if record.Gone {
		delete(in.records, record.Name)
	} else {
		in.records[record.Name] = record
	}
}
