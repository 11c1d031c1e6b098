// Package recordstest keeps records in memory, for tests of replicas in one process.
//
// It is not a store for users: package store/etcd is. A test cuts a replica off, and connects it again,
// as a network would.
package recordstest

import (
	"context"
	"errors"
	"maps"
	"path"
	"slices"
	"sync"
	"time"

	"gcp-metadata-emulator/server/records"
)

// Memory holds the records of all replicas of a test.
type Memory struct {
	mu       sync.Mutex
	version  int64
	records  map[string]records.Record
	owners   map[string]*Replica // of the records that end with a replica
	replicas []*Replica
}

// New returns a memory without records.
func New() *Memory {
	return &Memory{records: map[string]records.Record{}, owners: map[string]*Replica{}}
}

// Replica is one replica's access to the memory. It implements records.Store.
type Replica struct {
	memory *Memory
	copied *records.Copy
	cut    bool
	refuse error
	seen   time.Time
}

// Join returns the access of another replica.
func (m *Memory) Join() *Replica {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := &Replica{memory: m, copied: records.NewCopy(), seen: time.Now()}
	m.replicas = append(m.replicas, r)
	r.catchUp()
	return r
}

// Cut cuts a replica off from the memory.
func (r *Replica) Cut() {
	r.memory.mu.Lock()
	defer r.memory.mu.Unlock()
	r.cut = true
}

// Refuse cuts a replica off from the memory, which says why.
func (r *Replica) Refuse(why *records.ProblemError) {
	r.memory.mu.Lock()
	defer r.memory.mu.Unlock()
	r.cut, r.refuse = true, &records.UnreachableError{Err: why}
}

// Problem returns why the memory refuses the replica, or nil.
func (r *Replica) Problem() error {
	r.memory.mu.Lock()
	defer r.memory.mu.Unlock()
	return r.refuse
}

// End cuts a replica off, and ends its own records, as if its process had been killed some time ago.
func (r *Replica) End() {
	m := r.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	r.cut = true
	var own []string
	for name, owner := range m.owners {
		if owner == r {
			own = append(own, name)
		}
	}
	m.tell(m.make(nil, records.Change{Delete: own}))
}

// Connect connects a replica again.
func (r *Replica) Connect() {
	r.memory.mu.Lock()
	defer r.memory.mu.Unlock()
	r.cut, r.refuse = false, nil
	r.catchUp()
}

// catchUp copies all records. The caller must hold mu.
func (r *Replica) catchUp() {
	r.copied.Replace(r.memory.version, slices.Collect(maps.Values(r.memory.records)))
}

// Copy returns the replica's copy of the records.
func (r *Replica) Copy() *records.Copy { return r.copied }

// Contact returns the last time at which the replica reached the memory.
func (r *Replica) Contact() time.Time {
	r.memory.mu.Lock()
	defer r.memory.mu.Unlock()
	r.touch()
	return r.seen
}

func (r *Replica) touch() {
	if !r.cut {
		r.seen = time.Now()
	}
}

var errCut = errors.New("the test has cut the replica off")

// Sync reports whether the replica reaches the memory. Its copy is always new.
func (r *Replica) Sync(context.Context) error {
	r.memory.mu.Lock()
	defer r.memory.mu.Unlock()
	if r.cut {
		return &records.UnreachableError{Err: errCut}
	}
	return nil
}

// Commit makes a change for all replicas that are connected.
func (r *Replica) Commit(_ context.Context, change records.Change) error {
	m := r.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.cut {
		return &records.UnreachableError{Err: errCut}
	}
	for _, condition := range change.If {
		if m.records[condition.Name].Version != condition.Version {
			return records.ErrConflict
		}
	}
	m.tell(m.make(r, change))
	return nil
}

// Backup returns a function that makes the memory lose all later changes.
func (m *Memory) Backup() (restore func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	version, all := m.version, maps.Clone(m.records)
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.version, m.records = version, maps.Clone(all)
		for _, replica := range m.replicas {
			if !replica.cut {
				replica.catchUp()
			}
		}
	}
}

// tell tells every replica that is connected. The caller must hold mu.
func (m *Memory) tell(changed []records.Record) {
	for _, replica := range m.replicas {
		if !replica.cut {
			replica.copied.Apply(m.version, changed)
		}
	}
}

// expire ends a record, unless it was changed.
func (m *Memory) expire(record records.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.records[record.Name].Version == record.Version {
		m.tell(m.make(nil, records.Change{Delete: []string{record.Name}}))
	}
}

// make changes the records for a replica, and returns the changed records. The caller must hold mu.
func (m *Memory) make(by *Replica, change records.Change) []records.Record {
	m.version++
	var changed []records.Record
	for name := range m.records {
		if slices.Contains(change.Delete, name) || slices.Contains(change.Folders, path.Dir(name)) {
			changed = append(changed, records.Record{Name: name, Version: m.version, Gone: true})
			delete(m.records, name)
			delete(m.owners, name)
		}
	}
	for _, entry := range change.Put {
		record := records.Record{Name: entry.Name, Value: entry.Value, Version: m.version, Created: m.version}
		if before, ok := m.records[entry.Name]; ok {
			record.Created = before.Created
		}
		m.records[entry.Name] = record
		delete(m.owners, entry.Name)
		if entry.Mine {
			m.owners[entry.Name] = by
		}
		if entry.Lasts > 0 {
			time.AfterFunc(entry.Lasts, func() { m.expire(record) })
		}
		changed = append(changed, record)
	}
	return changed
}
