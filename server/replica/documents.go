package replica

import (
	"errors"
	"time"

	"gcp-metadata-emulator/server/records"
)

const documentsFolder = "documents"

// Documents keeps small documents that expire, for all replicas.
type Documents struct {
	store  records.Store
	bounds bounds
	folder string
	lasts  time.Duration
}

// Documents returns the documents with a name. Each lasts for a duration of the machine's time after its
// last change.
func (r *Replica) Documents(name string, lasts time.Duration) *Documents {
	return &Documents{r.store, r.bounds, documentsFolder + "/" + name, lasts}
}

// Find returns a document.
func (d *Documents) Find(name string) ([]byte, bool) {
	found, ok := d.store.Copy().Find(d.folder + "/" + name)
	return found.Value, ok
}

// All returns every document by its name.
func (d *Documents) All() map[string][]byte {
	all := map[string][]byte{}
	for _, record := range d.store.Copy().List(d.folder) {
		all[record.Name[len(d.folder)+1:]] = record.Value
	}
	return all
}

// Change replaces a document by the result of a function. If another replica was faster, Change calls
// the function again. The function gets nil for a document that does not exist, and returns nil to
// remove a document.
func (d *Documents) Change(name string, change func(old []byte) ([]byte, error)) error {
	ctx, cancel := d.bounds.commit()
	defer cancel()
	path := d.folder + "/" + name
	for {
		before, exists := d.store.Copy().Find(path)
		after, err := change(before.Value)
		if err != nil || after == nil && !exists {
			return err
		}
		step := records.Change{If: []records.Condition{{Name: path, Version: before.Version}}}
		if after == nil {
			step.Delete = []string{path}
		} else {
			step.Put = []records.Entry{{Name: path, Value: after, Lasts: d.lasts}}
		}
		if err := d.store.Commit(ctx, step); !errors.Is(err, records.ErrConflict) {
			return err
		}
	}
}

// Reset does nothing: a reset of the replicas removes all documents in one change.
func (d *Documents) Reset() {}
