package replica

import (
	"context"
	"errors"

	"gcp-metadata-emulator/server/records"
)

// Reset restores the world, and clears the other shared state of a reset, in one change.
func (w *Worlds) Reset() error {
	ctx, cancel := w.Bound()
	defer cancel()
	for ctx.Err() == nil {
		if err := w.unreadable(); err != nil {
			return err
		}
		w.mu.Lock()
		seen, start := w.seen, w.start
		w.mu.Unlock()
		if err := w.commit(ctx, seen, start, start, records.Change{Folders: forgetting()}); !errors.Is(err, records.ErrConflict) {
			return err
		}
	}
	return context.Cause(ctx)
}

// forgetting returns the folders that a reset empties.
func forgetting() []string {
	return []string{retiredFolder + "/" + SpentName, retiredFolder + "/" + RevokedName, forgottenFolder, documentsFolder + "/" + DevicesName, stateFolder, faultsFolder, eventsFolder}
}

// WhenReset makes the world call a function when this process sees a reset, of its own or of another process. The
// function must not use the world.
func (w *Worlds) WhenReset(forget func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forget = forget
}
