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

// Version returns the version of the last change in a folder.
func (f Files) Version(folder string) int64 { return f.store.Copy().Version(folder) }

// Read returns the content of a file, and the version of its creation.
func (f Files) Read(name string) (data []byte, created int64, ok bool) {
	found, ok := f.store.Copy().Find(name)
	return found.Value, found.Created, ok
}

// Create stores a file, or returns the content of the existing one.
func (f Files) Create(name string, data []byte) ([]byte, error) {
	ctx, cancel := f.bounds.commit()
	defer cancel()
	for {
		if found, ok := f.store.Copy().Find(name); ok {
			return found.Value, nil
		}
		err := f.store.Commit(ctx, records.Change{
			If: []records.Condition{{Name: name}}, Put: []records.Entry{{Name: name, Value: data}},
		})
		if !errors.Is(err, records.ErrConflict) {
			return data, err
		}
	}
}

// Remove removes files.
func (f Files) Remove(names []string) error {
	ctx, cancel := f.bounds.commit()
	defer cancel()
	for len(names) > 0 {
		now := min(len(names), records.MaxOperations)
		if err := f.store.Commit(ctx, records.Change{Delete: names[:now]}); err != nil {
			return err
		}
		names = names[now:]
	}
	return nil
}
