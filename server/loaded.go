package server

import (
	"sync/atomic"

	"gcp-metadata-emulator/server/replica"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/world"
)

// loaded is the world that Reset restores.
type loaded interface {
	world() *world.World
	// replace makes another world the present world too.
	replace(w *world.World) error
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

// sharedWorld is the world of replicas.
type sharedWorld struct{ worlds *replica.Worlds }

func (s sharedWorld) world() *world.World { return s.worlds.Start() }

func (s sharedWorld) replace(w *world.World) error { return s.worlds.Restart(w) }
