package cli

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/world"
)

// storeFlags holds the flags of replicas, which share their state. Every build has them, but only the
// build with the tag "cluster" accepts them.
type storeFlags struct {
	Store             string        `placeholder:"URL" help:"Share the world, the keys and whatever else changes with other emulators, in etcd: etcd://HOST:PORT[,HOST:PORT…]/PREFIX. Needs the build with the tag \"cluster\"."`
	StoreCA           string        `name:"store-ca" type:"path" placeholder:"FILE" help:"With --store: certificates, in PEM, of the authorities that etcd's servers are trusted by. This, or --store-cert, makes the connection use TLS."`
	StoreCert         string        `type:"path" placeholder:"FILE" help:"With --store and --store-key: certificate, in PEM, that proves who this program is."`
	StoreKey          string        `type:"path" placeholder:"FILE" help:"With --store-cert: its private key, in PEM."`
	StoreUser         string        `placeholder:"NAME" help:"With --store: user of etcd."`
	StorePasswordFile string        `type:"path" placeholder:"FILE" help:"With --store-user: file with the password."`
	StoreTimeout      time.Duration `default:"5s" placeholder:"DURATION" help:"With --store: time for which a change waits for etcd before it is refused."`
	StoreGrace        time.Duration `default:"10s" placeholder:"DURATION" help:"With --store: time without an answer of etcd after which this replica is not ready."`

	peerFlags `embed:""`
}

// misused returns a usage error if there are flags about a store, and no store.
func (f storeFlags) misused() error {
	switch {
	case f.StoreCert == "" != (f.StoreKey == ""):
		return &usageError{errors.New("--store-cert and --store-key belong together: give both, or none")}
	case f.StoreUser == "" != (f.StorePasswordFile == ""):
		return &usageError{errors.New("--store-user and --store-password-file belong together: give both, or none")}
	case f.Store == "" && f.Advertise+f.PeerListen != "":
		return &usageError{errors.New("--advertise and --peer-listen are about other replicas, with which only --store shares a world: add it")}
	case f.Store == "" && f.StoreCA+f.StoreCert+f.StoreUser != "":
		return &usageError{errors.New("--store-ca, --store-cert and --store-user are about etcd, which only --store uses: add it")}
	}
	return f.peerFlags.misused()
}

// joining is this process's part in the replicas: a *replica.Replica. See server.Shared.
type joining interface {
	server.Shared
	Begin(ctx context.Context, own *world.World) (*world.World, error)
	Announce(ctx context.Context, url string)
	Files() keys.Files
}

// join returns this process's part in the replicas, or nil if there is no store. leave ends it. If the
// process ends, its part ends a little later.
func (f storeFlags) join(ctx context.Context, logger *slog.Logger) (joined joining, leave func(), err error) {
	if err := f.misused(); err != nil || f.Store == "" {
		return nil, func() {}, err
	}
	return f.open(ctx, logger)
}

// ringOf returns the key ring of the replicas, or of an emulator that is alone.
func (f runFlags) ringOf(ctx context.Context, joined joining, emulated *clock.Clock) (*keys.Ring, error) {
	if err := f.misused(joined != nil); err != nil {
		return nil, err
	}
	switch given, err := f.given(ctx, emulated.Now); {
	case err != nil || given != nil:
		return given, err
	case joined == nil:
		return f.ring(emulated)
	}
	return keys.NewSharedRing(joined.Files(), emulated.Now), nil
}

// shared joins the replicas with a world, and plans the addresses of their world.
func (e *emulator) shared(ctx context.Context, own *world.World) (*world.World, []address, error) {
	theirs, err := e.replica.Begin(ctx, own)
	if err != nil {
		return nil, nil, err
	}
	if theirs != own {
		e.logger.InfoContext(ctx, "serving the world that the replicas share, and not the fixture of this one",
			"hint", "to serve a fixture in all replicas, reload one of them with it: send it SIGHUP")
	}
	wanted, err := e.plan(theirs)
	return theirs, wanted, err
}
