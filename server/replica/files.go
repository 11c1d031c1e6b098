package replica

import (
	"errors"

	"gcp-metadata-emulator/server/records"
)

// Files keeps the keys of the replicas in records. It implements keys.Files.
type Files struct {
	store  records.Store
	bounds bounds
}

// List returns the names of the files in a folder.
func (f Files) List(folder string) []string {
	var names []string
	for _, record := range f.store.Copy().List(folder) {
		names = append(names, record.Name[len(folder)+1:])
	}
	return names
}

// Version returns a number that is larger after every change in a folder.
func (f Files) Version(folder string) int64 { return f.store.Copy().Changes(folder) }

// Read returns the content of a file, and its version.
func (f Files) Read(name string) (data []byte, written int64, ok bool) {
	found, ok := f.store.Copy().Find(name)
	return found.Value, found.Version, ok
}

// Create stores a new file.
func (f Files) Create(name string, data []byte) (bool, error) {
	err := f.commit(records.Change{If: []records.Condition{{Name: name}}, Put: []records.Entry{{Name: name, Value: data}}})
	if errors.Is(err, records.ErrConflict) {
		return false, nil
	}
	return err == nil, err
}

// Write stores a file in place of another.
func (f Files) Write(name string, data []byte) error {
	return f.commit(records.Change{Put: []records.Entry{{Name: name, Value: data}}})
}

func (f Files) commit(change records.Change) error {
	ctx, cancel := f.bounds.commit()
	defer cancel()
	return f.store.Commit(ctx, change)
}

// Remove removes files.
func (f Files) Remove(names []string) error {
	for len(names) > 0 {
		now := min(len(names), records.MaxOperations)
		if err := f.commit(records.Change{Delete: names[:now]}); err != nil {
			return err
		}
		names = names[now:]
	}
	return nil
}
