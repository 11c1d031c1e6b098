package replica

import (
	"encoding/json"
	"errors"
	"log/slog"
	"sync"

	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/records"
)

const (
	stateFolder = "state"
	clockName   = stateFolder + "/clock"
)

// Clock keeps the course of the replicas' clocks. It implements clock.Keeper.
type Clock struct {
	store  records.Store
	bounds bounds
	logger *slog.Logger

	mu      sync.Mutex
	of      *clock.Clock
	version int64
	course  clock.Course
}

// Share makes all replicas share a clock. The clock's earlier course does not matter.
func (r *Replica) Share(of *clock.Clock) {
	c := &Clock{store: r.store, bounds: r.bounds, logger: r.logger, of: of, course: clock.Machine()}
	r.clock = of
	of.Keep(c)
	of.Follow(c.course)
	r.store.Copy().Follow(stateFolder, c.follow)
}

func (c *Clock) follow(changed []records.Record) {
	for _, record := range changed {
		if record.Name != clockName {
			continue
		}
		var course clock.Course
		if record.Gone {
			course = clock.Machine()
		} else if err := json.Unmarshal(record.Value, &course); err != nil {
			c.logger.Error("cannot read the clock that the replicas share", "error", err)
			continue
		}
		c.mu.Lock()
		c.version, c.course = record.Version, course
		if record.Gone {
			c.version = 0
		}
		c.of.Follow(course)
		c.mu.Unlock()
	}
}

// Replace puts all replicas' clocks on another course.
func (c *Clock) Replace(current, next clock.Course) error {
	c.mu.Lock()
	version, isCurrent := c.version, c.course == current
	c.mu.Unlock()
	if !isCurrent {
		return clock.ErrOutdated
	}
	text, err := json.Marshal(next)
	if err != nil {
		return err
	}
	ctx, cancel := c.bounds.commit()
	defer cancel()
	err = c.store.Commit(ctx, records.Change{
		If: []records.Condition{{Name: clockName, Version: version}}, Put: []records.Entry{{Name: clockName, Value: text}},
	})
	if errors.Is(err, records.ErrConflict) {
		return clock.ErrOutdated
	}
	return err
}
