package replica_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/event"
	"gcp-metadata-emulator/server/records"
	"gcp-metadata-emulator/server/records/recordstest"
	"gcp-metadata-emulator/server/replica"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/world/worldtest"
)

// readOnly is a store that may refuse all changes.
type readOnly struct {
	*recordstest.Replica

	is atomic.Bool
}

func (r *readOnly) Commit(ctx context.Context, change records.Change) error {
	if r.is.Load() {
		return &records.UnreachableError{Err: errors.New("the test refuses all changes")}
	}
	return r.Replica.Commit(ctx, change)
}

// player is a replica that shares its events.
type player struct {
	*event.Player

	link *readOnly
	log  *strings.Builder
}

// newPlayers returns three replicas. The first is elected.
func newPlayers(t *testing.T) []player {
	t.Helper()
	memory := recordstest.New()
	var all []player
	for i := range 3 {
		log := &strings.Builder{}
		logger := slog.New(slog.NewTextHandler(log, nil))
		link := &readOnly{Replica: memory.Join()}
		r := replica.New(replica.Config{Host: fmt.Sprint("replica-", i), Store: link, Timeout: time.Minute, Grace: 10 * time.Second, Logger: logger})
		if _, err := r.Begin(t.Context(), worldtest.Parse(t, "instances: [{name: vm}]")); err != nil {
			t.Fatal(err)
		}
		worlds := store.NewKept(r.World(), r.Worlds)
		r.Feed(worlds)
		of := clock.New(time.Now)
		r.Share(of)
		one := player{event.NewPlayer(worlds, of, func() {}, logger), link, log}
		r.ShareEvents(one.Player)
		synctest.Wait()
		all = append(all, one)
	}
	return all
}

// If no replica reaches the store, no replica can play a step, and the elected replica is not at fault:
// it plays the step when the store answers again. If it hangs, the others log it once.
func TestLateStep(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		breaks func(all []player)
		warn   bool // the replicas that are not elected
	}{
		"nobody reaches the store": {func(all []player) {
			for _, one := range all {
				one.link.Cut()
			}
		}, false},
		"nobody may write": {func(all []player) {
			for _, one := range all {
				one.link.is.Store(true)
			}
		}, true},
		"the elected replica hangs": {func(all []player) { all[0].link.Cut() }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				all := newPlayers(t)
				var migration event.Event
				if err := json.Unmarshal([]byte(`{"type": "live-migrate", "in": "5s", "notice": "0s", "lasts": "0s"}`), &migration); err != nil {
					t.Fatal(err)
				}
				if _, err := all[1].Play("vm", migration); err != nil {
					t.Fatal(err)
				}
				test.breaks(all)
				time.Sleep(time.Minute)
				for _, one := range all {
					one.link.is.Store(false)
					one.link.Connect()
				}
				time.Sleep(5 * time.Second)
				synctest.Wait()
				warned := false
				for i, one := range all {
					if left := one.List(); len(left) > 0 {
						t.Errorf("replica %d has %v left", i, left)
					}
					count := strings.Count(one.log.String(), "has not played a step")
					if count > 1 {
						t.Errorf("replica %d warns %d times:\n%s", i, count, one.log)
					}
					warned = warned || count > 0
				}
				if warned != test.warn {
					t.Errorf("the replicas warn: %v", warned)
				}
			})
		})
	}
}
