package replica

import (
	"context"

	"gcp-metadata-emulator/server/records"
)

// batches is a change of any size, larger than the store takes at once. The new records have new names,
// and no other record refers to them before the last change. After the last change, no record refers to
// the records to remove.
type batches struct {
	store  records.Store
	put    []records.Entry
	remove []string
	last   records.Change // its first condition and its first entry are about the record that refers to the others
}

// commit commits the change. If the last step conflicts, the error is records.ErrConflict. The new
// records are then litter, which the next large change removes.
func (b *batches) commit(ctx context.Context) error {
	room, operations := records.MaxBytes, records.MaxOperations-len(b.last.Put)-len(b.last.Delete)
	for _, entry := range b.last.Put {
		room -= len(entry.Name) + len(entry.Value)
	}
	for len(b.put) > 0 && !fits(b.put, room, operations) {
		first := prefix(b.put, records.MaxBytes, records.MaxOperations)
		if err := b.store.Commit(ctx, records.Change{Put: b.put[:first]}); err != nil {
			return err
		}
		b.put = b.put[first:]
	}
	b.last.Put = append(b.last.Put, b.put...)
	now := min(len(b.remove), max(0, records.MaxOperations-len(b.last.Put)-len(b.last.Delete)))
	b.last.Delete, b.remove = append(b.last.Delete, b.remove[:now]...), b.remove[now:]
	if err := b.store.Commit(ctx, b.last); err != nil {
		return err
	}
	b.sweep(ctx)
	return nil
}

// sweep removes the remaining records to remove. It changes the version of the head too, so no other
// process can refer to them meanwhile. If it fails, litter stays.
func (b *batches) sweep(ctx context.Context) {
	head := b.last.Put[0]
	for len(b.remove) > 0 {
		now := min(len(b.remove), records.MaxOperations-1)
		current, _ := b.store.Copy().Find(head.Name)
		if string(current.Value) != string(head.Value) {
			return
		}
		if err := b.store.Commit(ctx, records.Change{
			If:  []records.Condition{{Name: head.Name, Version: current.Version}},
			Put: []records.Entry{head}, Delete: b.remove[:now],
		}); err != nil {
			return
		}
		b.remove = b.remove[now:]
	}
}

func fits(entries []records.Entry, room, operations int) bool {
	return prefix(entries, room, operations) == len(entries)
}

// prefix returns how many of the first entries fit. It returns at least 1.
func prefix(entries []records.Entry, room, operations int) int {
	for i, entry := range entries {
		room -= len(entry.Name) + len(entry.Value)
		if i > 0 && (room < 0 || i == operations) {
			return i
		}
	}
	return len(entries)
}
