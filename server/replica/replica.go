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
	World   *world.World  // the replicas' first world, if they have none
	Timeout time.Duration // for which a change waits for the store
	Logger  *slog.Logger
}

// Replica is this process's part in the replicas.
type Replica struct {
	Worlds *Worlds

	store records.Store
}

// Open joins the replicas.
func Open(ctx context.Context, config Config) (*Replica, error) {
	within := bounds{config.Timeout}
	worlds, err := openWorlds(ctx, config.Store, within, config.Logger, config.World)
	if err != nil {
		return nil, err
	}
	return &Replica{Worlds: worlds, store: config.Store}, nil
}

// bounds bounds the waiting for the store.
type bounds struct{ timeout time.Duration }

// commit returns a context for a change.
func (b bounds) commit() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), b.timeout)
}
