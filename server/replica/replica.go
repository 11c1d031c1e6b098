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

// The names of what the replicas share of tokens.
const (
	RevokedName = "revoked"
	SpentName   = "spent"
	DevicesName = "devices"
)

const faultsFolder = "faults"

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

// Silence returns for how long the store has not answered, at a moment of the machine's time.
func (r *Replica) Silence(now time.Time) time.Duration { return now.Sub(r.store.Contact()) }

// Files returns the files with the keys of the replicas.
func (r *Replica) Files() Files { return Files{r.store, r.bounds} }

// bounds bounds the waiting for the store.
type bounds struct{ timeout time.Duration }

// commit returns a context for a change.
func (b bounds) commit() (context.Context, context.CancelFunc) { return b.within(context.Background()) }

// within returns a context for a change of a request.
func (b bounds) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, b.timeout)
}
