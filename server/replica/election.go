package replica

import (
	"context"
	"errors"
	"time"

	"gcp-metadata-emulator/server/event"
	"gcp-metadata-emulator/server/records"
)

// electedName is the record that names the replica that plays events. It ends with the replica's process,
// and the first replica to put it again is elected.
const electedName = playerFolder + "/elected"

// election makes one of the replicas play the events of all.
type election struct {
	replica *Replica
	player  *event.Player
	news    chan struct{} // has an element if something that matters may have changed
}

// ShareEvents makes the events of a player those of the replicas. While this replica is elected and the
// context of Begin has not ended, it plays them.
func (r *Replica) ShareEvents(player *event.Player) {
	kept := newEvents(r)
	player.Keep(kept)
	e := &election{replica: r, player: player, news: make(chan struct{}, 1)}
	e.tell()
	r.store.Copy().Follow(eventsFolder, func(changed []records.Record) {
		kept.follow(changed)
		e.tell()
	})
	r.store.Copy().Follow(playerFolder, func([]records.Record) { e.tell() })
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
	const again = time.Second
	forget := func() {}
	defer func() { forget() }()
	for ctx.Err() == nil {
		select {
		case <-e.news:
		case <-ctx.Done():
			return
		}
		forget()
		next, err := e.play() //nolint:contextcheck // a change that has begun goes on when the process ends
		switch {
		case err != nil:
			retry := time.AfterFunc(again, e.tell)
			forget = func() { retry.Stop() }
		case !next.IsZero():
			forget = e.replica.clock.At(next, e.tell)
		default:
			forget = func() {}
		}
	}
}

// play plays what is due if this replica is elected, and returns the time of the next step.
func (e *election) play() (next time.Time, err error) {
	elected, err := e.elect()
	if err != nil || !elected {
		return time.Time{}, err
	}
	return e.player.PlayShared()
}

// elect elects this replica, unless another one is elected.
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
