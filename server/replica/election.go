package replica

import (
	"context"
	"errors"
	"time"

	"gcp-metadata-emulator/server/event"
	"gcp-metadata-emulator/server/records"
)

// electedName is the record with the name of the replica that plays events. It ends with the replica's
// process. Then the first replica to put it again is elected.
const electedName = playerFolder + "/elected"

// election makes one of the replicas play the events of all.
type election struct {
	replica *Replica
	player  *event.Player
	kept    *events
	news    chan struct{} // has an element if something that matters may have changed

	late  event.Step // that was due when the replica looked last, and not its own to play; only run knows it
	since time.Time  // the time at which it was late first
	told  event.Step // that the log names last as late
}

// ShareEvents makes all replicas share the events of a player. While this replica is elected and the context
// of Begin has not ended, it plays them.
func (r *Replica) ShareEvents(player *event.Player) {
	kept := newEvents(r)
	player.Keep(kept)
	e := &election{replica: r, player: player, kept: kept, news: make(chan struct{}, 1)}
	e.tell()
	r.store.Copy().Follow(eventsFolder, func(changed []records.Record) {
		kept.follow(changed)
		e.tell()
	})
	r.store.Copy().Follow(playerFolder, func([]records.Record) {
		kept.followCount()
		e.tell()
	})
	r.whenRestarted(e.tell)
	go e.run(r.running)
}

func (e *election) tell() {
	select {
	case e.news <- struct{}{}:
	default: // it is going to look anyway
	}
}

// run plays events until the context ends.
func (e *election) run(ctx context.Context) {
	forget := func() {}
	defer func() { forget() }()
	for ctx.Err() == nil {
		select {
		case <-e.news:
		case <-ctx.Done():
			return
		}
		forget()
		next, again := e.play() //nolint:contextcheck // a change that has begun goes on when the process ends
		switch {
		case again > 0:
			retry := time.AfterFunc(again, e.tell)
			forget = func() { retry.Stop() }
		case !next.IsZero():
			forget = e.replica.clock.At(next, e.tell)
		default:
			forget = func() {}
		}
	}
}

// play plays the due events if this replica is elected, or if the elected replica has not played them. It
// returns the time of the next step by the shared clock, or else the time after which to look again.
func (e *election) play() (next time.Time, again time.Duration) {
	const retry = time.Second
	elected, err := e.elect()
	if err != nil {
		return time.Time{}, retry
	}
	if !elected {
		if next, again = e.watch(); again > 0 || !next.IsZero() || e.late == (event.Step{}) {
			return next, again
		}
		e.warn()
	}
	if next, err = e.player.PlayShared(); err != nil {
		return time.Time{}, retry
	}
	return next, 0
}

// warn logs, once for each step, that the other replica has not played it.
func (e *election) warn() {
	if e.told != e.late {
		e.told = e.late
		e.replica.logger.Warn("the replica that plays events has not played a step; playing it here", "event", e.late.Event, "step", e.late.Number)
	}
}

// watch looks at the next step, which another replica must play. To begin the scenarios of a run is a step too.
// It returns the time of the step, or else how
// much longer this replica waits for the other replica, which may hang. While the store does not answer, no
// replica can play the step, and no wait begins. If watch returns neither, either this replica has waited
// long enough for the step late, or there is no step at all.
func (e *election) watch() (due time.Time, wait time.Duration) {
	next, due, ok := e.player.Due()
	if run := e.kept.Run(); e.kept.isBeginning(run) {
		next, due, ok = event.Step{Event: "scenarios", Number: run}, e.replica.clock.Now(), true
	}
	if !ok || due.After(e.replica.clock.Now()) {
		e.late = event.Step{}
		return due, 0
	}
	if e.replica.silence() > usual {
		e.late = event.Step{}
		return time.Time{}, usual
	}
	if next != e.late {
		e.late, e.since = next, time.Now() //nolint:forbidigo // a process hangs by the machine's clock
	}
	return time.Time{}, max(0, e.replica.grace-time.Since(e.since))
}

// elect elects this replica, unless another replica is elected.
func (e *election) elect() (elected bool, err error) {
	r := e.replica
	for {
		if found, ok := r.store.Copy().Find(electedName); ok {
			return string(found.Value) == r.name, nil
		}
		ctx, cancel := r.bounds.commit()
		err := r.store.Commit(ctx, records.Change{
			If: []records.Condition{{Name: electedName}}, Put: []records.Entry{{Name: electedName, Value: []byte(r.name), Mine: true}},
		})
		cancel()
		if err != nil && !errors.Is(err, records.ErrConflict) {
			return false, err
		}
	}
}
