package replica

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/records"
	"gcp-metadata-emulator/server/world"
)

// Config configures a replica. Every field but Host is required.
type Config struct {
	Host    string // the name of the machine, with which the name of this replica begins
	Store   records.Store
	Timeout time.Duration // for which a change waits for the store
	Grace   time.Duration // the time without an answer of the store after which this replica is not ready
	Logger  *slog.Logger
}

// The names of the data about tokens that the replicas share.
const (
	RevokedName = "revoked"
	SpentName   = "spent"
	DevicesName = "devices"
)

// Replica is this process's part in the replicas.
type Replica struct {
	*Worlds // Begin makes it

	name    string          // of this process, which no other has
	running context.Context //nolint:containedctx // the context of Begin, in which events are played
	clock   *clock.Clock    // Share sets it

	store  records.Store
	bounds bounds
	grace  time.Duration
	logger *slog.Logger
}

// New returns a replica that has not begun yet.
func New(config Config) *Replica {
	return &Replica{name: newName(config.Host), store: config.Store, bounds: bounds{config.Timeout}, grace: config.Grace, logger: config.Logger}
}

// newName returns a name that no other replica has.
func newName(host string) string {
	const enough = 10 // letters, of five random bits each
	host = strings.Map(func(r rune) rune {
		if r == '/' || r <= ' ' {
			return '-'
		}
		return r
	}, host)
	return strings.TrimPrefix(host+"-"+strings.ToLower(rand.Text()[:enough]), "-")
}

// Begin joins the replicas with a world. It returns the replicas' world. If they had no world, this is the
// given world. The replica works in the background until the context ends.
func (r *Replica) Begin(ctx context.Context, own *world.World) (*world.World, error) {
	worlds, err := openWorlds(ctx, r.store, r.bounds, r.logger, own)
	if err != nil {
		return nil, err
	}
	r.Worlds, r.running = worlds, ctx
	return worlds.World(), nil
}

// usual is the longest time without an answer of a store that can be reached: it is asked every second.
const usual = 2 * time.Second

// silence returns for how long the store has not answered. It is very long while the store has lost changes.
func (r *Replica) silence() time.Duration { return time.Since(r.store.Contact()) }

// Health reports whether the store has answered lately. If it has not, problem says so.
func (r *Replica) Health() (ready bool, problem string) {
	silent := r.silence().Round(time.Second)
	problem = fmt.Sprintf("the store that the replicas share has not answered for %v", silent)
	if err := r.store.Problem(); err != nil {
		problem = err.Error()
	}
	switch {
	case r.store.Contact().IsZero():
		return false, "the store that the replicas share has lost changes; its records are being read again"
	case silent > r.grace:
		return false, problem
	case silent > usual:
		return true, problem + "; changes are refused"
	}
	if r.Worlds != nil {
		if err := r.unreadable(); err != nil {
			return false, fmt.Sprintf("the world that the replicas share cannot be read: %v", err)
		}
	}
	return true, ""
}

// Name returns the name of this replica, which no other has.
func (r *Replica) Name() string { return r.name }

// Files returns the files with the keys of the replicas.
func (r *Replica) Files() keys.Files { return Files{r.store, r.bounds} }

// bounds bounds the waiting for the store.
type bounds struct{ timeout time.Duration }

// commit returns a context for a change.
func (b bounds) commit() (context.Context, context.CancelFunc) { return b.within(context.Background()) }

// within returns a context for a change of a request.
func (b bounds) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, b.timeout, &records.UnreachableError{
		Err: fmt.Errorf("the change was not made within %v", b.timeout),
	})
}
