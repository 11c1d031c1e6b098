package server

import (
	"slices"
	"sync/atomic"
	"time"

	"gcp-metadata-emulator/server/control"
	"gcp-metadata-emulator/server/oauth2"
	"gcp-metadata-emulator/server/replica"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world"
)

// loaded is the world that Reset restores.
type loaded interface {
	world() *world.World
	// replace makes another world the present world too.
	replace(w *world.World) error
	// restore makes it the present world, and forgets what several processes share.
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
	shared := c.Replica.Worlds
	kept := store.NewKept(c.World, shared)
	kept.Carry(carryPods)
	shared.Begin(kept)
	return kept, sharedWorld{shared}
}

// carryPods gives a new world the pods of the cluster that this process watches.
func carryPods(from, to *world.World) { to.TakePodsOf(from) }

// ownWorld is the world of an emulator that is alone.
type ownWorld struct {
	store *store.Store[*world.World]
	start atomic.Pointer[world.World]
}

func (o *ownWorld) world() *world.World { return o.start.Load() }

func (o *ownWorld) replace(w *world.World) error {
	o.start.Store(w)
	return o.store.Update(func(*world.World) (*world.World, error) { return w, nil })
}

func (o *ownWorld) restore() error {
	return o.store.Update(func(*world.World) (*world.World, error) { return o.world(), nil })
}

// sharedWorld is the world of replicas.
type sharedWorld struct{ worlds *replica.Worlds }

func (s sharedWorld) world() *world.World { return s.worlds.Start() }

func (s sharedWorld) replace(w *world.World) error { return s.worlds.Restart(w) }

func (s sharedWorld) restore() error { return s.worlds.Reset() }

// share replaces what the parts of the emulator remember by what replicas share.
func (c Config) share(issuer *token.Issuer, authorization *oauth2.Server) {
	const deviceLasts = 2 * time.Hour // by the machine's clock; devices expire before, by the emulator's
	if c.Replica == nil {
		return
	}
	c.Replica.Share(c.Clock)
	issuer.Share(c.Replica.Retired(replica.RevokedName, token.RememberedRevocations, issuer.ForgetCached))
	authorization.Share(c.Replica.Retired(replica.SpentName, oauth2.RememberedCodes, func() {}), c.Replica.Documents(replica.DevicesName, deviceLasts))
}

// begin starts the scenarios. If there are replicas, it shares the faults and the events: one of the
// replicas plays them.
func (c Config) begin(s *Server) {
	if c.Replica == nil {
		s.Events.Begin()
		return
	}
	c.Replica.ShareFaults(s.Faults)
	c.Replica.ShareEvents(s.Events)
}

// forgetOwn returns a function that clears the faults and makes the clock follow the machine's, unless
// replicas share them: then restore does both.
func (s *Server) forgetOwn(c Config) func() {
	return func() {
		if c.Replica == nil {
			_ = s.Faults.Clear() // fails only with replicas
			c.Clock.Reset()
		}
	}
}

// parts returns what the emulator depends on outside of its process.
func (c Config) parts() []control.Part {
	if c.Replica == nil {
		return c.Parts
	}
	return append(slices.Clone(c.Parts), control.Part{Health: c.Replica.Health})
}
