package server

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/control"
	"gcp-metadata-emulator/server/event"
	"gcp-metadata-emulator/server/fault"
	"gcp-metadata-emulator/server/oauth2"
	"gcp-metadata-emulator/server/peers"
	"gcp-metadata-emulator/server/replica"
	"gcp-metadata-emulator/server/retired"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world"
)

// Shared is this emulator's part in the replicas of a world: a *replica.Replica. It is an interface, so
// that a program without a replica does not link the code of replicas.
type Shared interface {
	store.Keeper[*world.World]
	Feed(of *store.Store[*world.World])
	Restart(next *world.World) error
	Reset() error
	WhenReset(forget func())

	Share(of *clock.Clock)
	ShareFaults(set *fault.Set)
	ShareEvents(player *event.Player)
	Retired(name string, size int, told func()) retired.Set
	Documents(name string, lasts time.Duration) *replica.Documents

	Name() string
	Members() []replica.Member
	Seen() int64
	CatchUp(ctx context.Context, version int64) error
	Health() (ready bool, problem string)
}

// loaded is the world that Reset restores.
type loaded interface {
	// replace makes another world the present world too.
	replace(w *world.World) error
	// whenRestored sets the function that clears this process's own memory beside the world.
	whenRestored(forget func())
	// restore makes it the present world. In each process that shares it, restore also clears the memory of later
	// events. If it returns an error, no process forgets anything.
	restore() error
}

// worlds returns the store of the present world, and the world that Reset restores.
func (c Config) worlds() (*store.Store[*world.World], loaded) {
	c.World.TakePods(c.Pods)
	if c.Replica == nil {
		own := &ownWorld{store: store.New(c.World)}
		own.store.Carry(carryPods)
		own.start.Store(c.World)
		return own.store, own
	}
	kept := store.NewKept[*world.World](c.World, c.Replica)
	kept.Carry(carryPods)
	c.Replica.Feed(kept)
	return kept, sharedWorld{c.Replica}
}

// carryPods gives a new world the pods of the cluster that this process watches.
func carryPods(from, to *world.World) { to.TakePodsOf(from) }

// ownWorld is the world of an emulator that is alone.
type ownWorld struct {
	store *store.Store[*world.World]
	start atomic.Pointer[world.World]

	forget func()
}

func (o *ownWorld) replace(w *world.World) error {
	o.start.Store(w)
	return o.store.Update(func(*world.World) (*world.World, error) { return w, nil })
}

func (o *ownWorld) whenRestored(forget func()) { o.forget = forget }

func (o *ownWorld) restore() error {
	err := o.store.Update(func(*world.World) (*world.World, error) { return o.start.Load(), nil })
	if err == nil {
		o.forget()
	}
	return err
}

// sharedWorld is the world of replicas.
type sharedWorld struct{ worlds Shared }

func (s sharedWorld) replace(w *world.World) error { return s.worlds.Restart(w) }

func (s sharedWorld) whenRestored(forget func()) { s.worlds.WhenReset(forget) }

func (s sharedWorld) restore() error { return s.worlds.Reset() }

// share makes the parts of the emulator share their memory with the replicas.
func (c Config) share(issuer *token.Issuer, authorization *oauth2.Server) {
	const deviceLasts = 2 * time.Hour // by the machine's clock; devices expire before, by the emulator's
	if c.Replica == nil {
		return
	}
	c.Replica.Share(c.Clock)
	issuer.Share(c.Replica.Retired(replica.RevokedName, token.RememberedRevocations, issuer.ForgetCached))
	authorization.Share(c.Replica.Retired(replica.SpentName, oauth2.RememberedCodes, func() {}), c.Replica.Documents(replica.DevicesName, deviceLasts))
}

// begin starts the scenarios. If there are replicas, it shares the faults and the events, and a single replica
// plays them.
func (c Config) begin(s *Server) {
	if c.Replica == nil {
		s.Events.Begin()
		return
	}
	c.Replica.ShareFaults(s.Faults)
	c.Replica.ShareEvents(s.Events)
}

// forgetting returns a function that calls other functions. Without replicas, it also clears the faults, and
// makes the clock follow the machine's. If replicas share them, restore does both.
func (s *Server) forgetting(c Config, others ...func()) func() {
	return func() {
		if c.Replica == nil {
			_ = s.Faults.Clear() // fails only with replicas
			c.Clock.Reset()
		}
		for _, forget := range others {
			forget()
		}
	}
}

// peers returns the replicas that share the world, or nil if the emulator is alone.
func (c Config) peers() *peers.Group {
	if c.Replica == nil {
		return nil
	}
	list := func() []peers.Replica {
		var all []peers.Replica
		for _, member := range c.Replica.Members() {
			all = append(all, peers.Replica(member))
		}
		return all
	}
	return peers.New(peers.Config{
		Own: c.Replica.Name(), Patience: c.ReplicaTimeout, List: list, Seen: c.Replica.Seen, CatchUp: c.Replica.CatchUp,
	})
}

// parts returns the emulator's dependencies outside of its process.
func (c Config) parts() []control.Part {
	if c.Replica == nil {
		return c.Parts
	}
	return append(slices.Clone(c.Parts), control.Part{Health: c.Replica.Health})
}
