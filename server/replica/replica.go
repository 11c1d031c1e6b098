package replica

import (
	"context"
	"log/slog"
	"time"

	"gcp-metadata-emulator/server/records"
	"gcp-metadata-emulator/server/world"
)

// Config configures a replica. Every field is required.
type Config struct {
	Store   records.Store
	Timeout time.Duration // for which a change waits for the store
	Logger  *slog.Logger
}

// Replica is this process's part in the replicas.
type Replica struct {
	Worlds *Worlds // Begin makes it

	store  records.Store
	bounds bounds
	logger *slog.Logger
}

// New returns a replica that has not begun yet.
func New(config Config) *Replica {
	return &Replica{store: config.Store, bounds: bounds{config.Timeout}, logger: config.Logger}
}

// Begin joins the replicas with a world. It returns their world, which is the given one if they have had
// none.
func (r *Replica) Begin(ctx context.Context, own *world.World) (*world.World, error) {
	worlds, err := openWorlds(ctx, r.store, r.bounds, r.logger, own)
	if err != nil {
		return nil, err
	}
	r.Worlds = worlds
	return worlds.World(), nil
}

// Files returns the files with the keys of the replicas.
func (r *Replica) Files() Files { return Files{r.store, r.bounds} }

// bounds bounds the waiting for the store.
type bounds struct{ timeout time.Duration }

// commit returns a context for a change.
func (b bounds) commit() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), b.timeout)
}
