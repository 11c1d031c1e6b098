package event_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/event"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/server/world/worldtest"
)

// stage is a player with its world.
type stage struct {
	*event.Player

	worlds *store.Store[*world.World]
	clock  *clock.Clock
	logs   *strings.Builder
	settle func() // called after each step
}

const twoInstances = `
instances:
  - {name: vm}
  - {name: gpu, metadata: {instance: {scheduling: {onHostMaintenance: TERMINATE}}}}
`

func newStage(t *testing.T, yaml string) *stage {
	t.Helper()
	s := &stage{worlds: store.New(worldtest.Parse(t, yaml)), clock: clock.New(time.Now), logs: &strings.Builder{}, settle: func() {}}
	s.Player = event.NewPlayer(s.worlds, s.clock, func() { s.settle() }, slog.New(slog.NewTextHandler(s.logs, nil)))
	return s
}

func (s *stage) play(t *testing.T, instance string, e event.Event) event.Playing {
	t.Helper()
	playing, err := s.Play(instance, e)
	if err != nil {
		t.Fatal(err)
	}
	return playing
}

func (s *stage) advance(t *testing.T, by time.Duration) {
	t.Helper()
	if err := s.clock.Advance(by); err != nil {
		t.Fatal(err)
	}
}

// values returns the values of an instance's metadata at some paths, "" for missing ones.
func (s *stage) values(t *testing.T, instance string, paths ...string) string {
	t.Helper()
	w := s.worlds.Load().State
	found, ok := w.Instance(instance)
	if !ok {
		t.Fatalf("no instance %q", instance)
	}
	texts := make([]string, len(paths))
	for i, path := range paths {
		if value, err := w.Metadata(found, "instance/"+path); err == nil {
			texts[i] = fmt.Sprint(value)
		}
	}
	return strings.Join(texts, " ")
}

func duration(d time.Duration) *fixtures.Duration { return new(fixtures.Duration(d)) }

// Each event makes its changes at the right times.
func TestSequences(t *testing.T) {
	t.Parallel()
	type moment struct {
		after time.Duration
		want  string
	}
	migrates := []string{"maintenance-event", "virtual-clock/drift-token"}
	window := []string{"upcoming-maintenance/maintenance_status", "upcoming-maintenance/can_reschedule", "maintenance-event", "upcoming-maintenance"}
	for name, test := range map[string]struct {
		instance string
		event    event.Event
		paths    []string
		moments  []moment
	}{
		"preemption": {"vm", event.Event{Type: fixtures.Preempt}, []string{"preempted", "shutdown-details/stop-state", "shutdown-details/target-state"}, []moment{
			{0, "TRUE  "}, {30*time.Second - 1, "TRUE  "}, {30 * time.Second, "TRUE STOPPING STOPPED"}, {24 * time.Hour, "TRUE STOPPING STOPPED"},
		}},
		"preemption later": {"vm", event.Event{Type: fixtures.Preempt, In: fixtures.Duration(time.Minute), Notice: duration(2 * time.Minute), TargetState: "DELETED"}, []string{"preempted", "shutdown-details/stop-state", "shutdown-details/target-state"}, []moment{
			{0, "FALSE  "}, {time.Minute, "TRUE  "}, {3 * time.Minute, "TRUE STOPPING DELETED"},
		}},
		"live migration": {"vm", event.Event{Type: fixtures.LiveMigrate}, migrates, []moment{
			{0, "MIGRATE_ON_HOST_MAINTENANCE 0"}, {70*time.Second - 1, "MIGRATE_ON_HOST_MAINTENANCE 0"}, {70 * time.Second, "NONE 1"},
		}},
		"live migration without notice": {"gpu", event.Event{Type: fixtures.LiveMigrate, Notice: duration(0), Lasts: duration(0)}, migrates, []moment{{0, "NONE 1"}}},
		"maintenance of one that migrates": {"vm", event.Event{Type: fixtures.Maintenance}, migrates, []moment{
			{0, "MIGRATE_ON_HOST_MAINTENANCE 0"}, {70 * time.Second, "NONE 1"},
		}},
		"maintenance of one that stops": {"gpu", event.Event{Type: fixtures.Maintenance}, migrates, []moment{
			{0, "TERMINATE_ON_HOST_MAINTENANCE 0"}, {time.Hour, "TERMINATE_ON_HOST_MAINTENANCE 0"}, {time.Hour + 10*time.Second, "NONE 0"},
		}},
		"window": {"vm", event.Event{Type: fixtures.UpcomingMaintenance, Notice: duration(time.Hour)}, window[:3], []moment{
			{0, "PENDING true NONE"},
			{time.Hour - 1, "PENDING true NONE"},
			{time.Hour, "ONGOING false MIGRATE_ON_HOST_MAINTENANCE"},
			{time.Hour + 70*time.Second, "  NONE"},
		}},
		"window that cannot be moved": {"gpu", event.Event{Type: fixtures.UpcomingMaintenance, CanReschedule: new(false)}, window[:3], []moment{
			{0, "PENDING false NONE"},
			{7 * 24 * time.Hour, "ONGOING false TERMINATE_ON_HOST_MAINTENANCE"},
			{7*24*time.Hour + time.Hour + 10*time.Second, "  NONE"},
		}},
		"after the window": {"vm", event.Event{Type: fixtures.UpcomingMaintenance, Notice: duration(0)}, window[3:], []moment{{2 * time.Minute, "NONE"}}},
		"shutdown": {"vm", event.Event{Type: fixtures.Shutdown}, []string{"shutdown-details/stop-state", "shutdown-details/max-duration", "shutdown-details/target-state"}, []moment{
			{0, "PENDING_STOP 600 STOPPED"}, {10*time.Minute - 1, "PENDING_STOP 600 STOPPED"}, {10 * time.Minute, "STOPPING 600 STOPPED"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, other := newStage(t, twoInstances), newStage(t, twoInstances)
				other.clock.Freeze()
				playing := s.play(t, test.instance, test.event)
				other.play(t, test.instance, test.event)
				begun := time.Now()
				var passed time.Duration
				for _, m := range test.moments {
					time.Sleep(m.after - time.Since(begun))
					synctest.Wait()
					other.advance(t, m.after-passed)
					passed = m.after
					for how, s := range map[string]*stage{"as time passes": s, "advanced": other} {
						if got := s.values(t, test.instance, test.paths...); got != m.want {
							t.Errorf("%s, after %v: %q, want %q", how, m.after, got, m.want)
						}
					}
				}
				if over := !playing.Ends.After(begun.Add(passed)); !over || len(s.List()) != 0 {
					t.Errorf("past the end: %t, and %d events are playing", over, len(s.List()))
				}
				if s.logs.Len() > 0 {
					t.Errorf("logged %s", s.logs)
				}
			})
		})
	}
}

// A waiting reader sees each change in order, as its own version of the world, also if the
// clock jumps over all of them.
func TestChangesComeOneByOne(t *testing.T) {
	t.Parallel()
	for name, pass := range map[string]func(*stage){
		"as time passes": func(*stage) { time.Sleep(time.Hour) },
		"advanced":       func(s *stage) { s.advance(t, time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, twoInstances)
				looked := make(chan uint64, 10)
				s.settle = func() {
					for <-looked < s.worlds.Load().Revision {
					}
				}
				var seen []string
				go func() {
					for t.Context().Err() == nil {
						now := s.worlds.Load()
						instance, _ := now.State.Instance("vm")
						maintenance, _ := now.State.Metadata(instance, "instance/maintenance-event")
						token, _ := now.State.Metadata(instance, "instance/virtual-clock/drift-token")
						seen = append(seen, fmt.Sprintf("%d %v %v", now.Revision, maintenance, token))
						looked <- now.Revision
						select {
						case <-now.Changed:
						case <-t.Context().Done():
						}
					}
				}()
				synctest.Wait()
				s.play(t, "vm", event.Event{Type: fixtures.LiveMigrate, In: fixtures.Duration(time.Second)})
				pass(s)
				synctest.Wait()
				want := []string{"1 NONE 0", "2 MIGRATE_ON_HOST_MAINTENANCE 0", "3 MIGRATE_ON_HOST_MAINTENANCE 1", "4 NONE 1"}
				if diff := cmp.Diff(want, seen); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

// A new announcement of upcoming maintenance replaces the earlier one.
func TestReschedule(t *testing.T) {
	t.Parallel()
	s := newStage(t, twoInstances)
	s.clock.Freeze()
	upcoming := func(notice time.Duration) event.Event {
		return event.Event{Type: fixtures.UpcomingMaintenance, Notice: duration(notice), Lasts: duration(time.Hour)}
	}
	s.play(t, "vm", upcoming(time.Hour))
	s.play(t, "gpu", upcoming(time.Hour))
	second := s.play(t, "vm", upcoming(2*time.Hour))
	want := second.Begins.Add(2*time.Hour).Format(time.RFC3339) + " " + second.Begins.Add(3*time.Hour).Format(time.RFC3339)
	if got := s.values(t, "vm", "upcoming-maintenance/window_start_time", "upcoming-maintenance/window_end_time"); got != want {
		t.Errorf("the window is %s, want %s", got, want)
	}
	s.advance(t, time.Hour)
	if got := s.values(t, "vm", "upcoming-maintenance/maintenance_status"); got != "PENDING" {
		t.Errorf("at the time of the first window: %s", got)
	}
	if got := s.values(t, "gpu", "upcoming-maintenance/maintenance_status"); got != "ONGOING" {
		t.Errorf("of the other instance: %s", got)
	}
	if got := len(s.List()); got != 2 {
		t.Errorf("%d events are playing, want 2", got)
	}
}

// An event happens at its time, also if the clock is set back meanwhile.
func TestGoingBackPutsEventsOff(t *testing.T) {
	t.Parallel()
	s := newStage(t, twoInstances)
	s.clock.Freeze()
	noon := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	set := func(now time.Time) {
		t.Helper()
		if err := s.clock.Set(now); err != nil {
			t.Fatal(err)
		}
	}
	set(noon)
	s.play(t, "vm", event.Event{Type: fixtures.UpcomingMaintenance, Notice: duration(time.Hour)})
	set(noon.Add(-time.Hour))
	for _, want := range []string{"PENDING", "PENDING", "ONGOING"} {
		if got := s.values(t, "vm", "upcoming-maintenance/maintenance_status"); got != want {
			t.Errorf("at %v: %s, want %s", s.clock.Now(), got, want)
		}
		s.advance(t, time.Hour)
	}
}

func TestEndings(t *testing.T) {
	t.Parallel()
	s := newStage(t, twoInstances)
	s.clock.Freeze()
	later := event.Event{Type: fixtures.Preempt, In: fixtures.Duration(time.Minute)}
	first, second := s.play(t, "", later), s.play(t, "gpu", later)
	existed, _ := s.Cancel(first.ID) // fails only with replicas
	still, _ := s.Cancel(first.ID)
	if first.Instance != "vm" || !existed || still {
		t.Error("an event cannot be cancelled, or twice")
	}
	s.advance(t, time.Minute)
	if got := s.values(t, "vm", "preempted") + s.values(t, "gpu", "preempted"); got != "FALSETRUE" {
		t.Errorf("after the cancelled one: %s", got)
	}
	if list := s.List(); len(list) != 1 || list[0].ID != second.ID {
		t.Errorf("playing: %+v", list)
	}
	s.Clear()
	s.advance(t, time.Hour)
	if got := s.values(t, "gpu", "shutdown-details/stop-state"); got != "" || len(s.List()) != 0 {
		t.Errorf("after all were cleared: %q, and %d are playing", got, len(s.List()))
	}

	s.play(t, "gpu", later)
	if err := s.worlds.Update(func(*world.World) (*world.World, error) {
		return newStage(t, "instances: [{name: vm}]").worlds.Load().State, nil
	}); err != nil {
		t.Fatal(err)
	}
	s.advance(t, time.Minute)
	if len(s.List()) != 0 || s.logs.Len() > 0 {
		t.Errorf("the event of an instance that is gone goes on, or is complained of: %s", s.logs)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	s := newStage(t, twoInstances+"  - {name: pod, profile: gke}\n")
	before := s.worlds.Load().Revision
	for want, test := range map[string]struct {
		instance string
		event    event.Event
	}{
		`there is no such instance: "nowhere"`: {"nowhere", event.Event{Type: fixtures.Preempt}},
		`"type": there is no event "rain"; use one of: preempt, maintenance, upcoming-maintenance, live-migrate, shutdown`: {"vm", event.Event{Type: "rain"}},
		`"in": give a duration from 0s to a year`:                                                    {"vm", event.Event{Type: fixtures.Preempt, In: -1}},
		`"notice": give a duration from 0s to a year`:                                                {"vm", event.Event{Type: fixtures.Preempt, Notice: duration(366 * 24 * time.Hour)}},
		`"lasts": give a duration from 0s to a year`:                                                 {"vm", event.Event{Type: fixtures.LiveMigrate, Lasts: duration(-1)}},
		`"lasts": preempt events have no end`:                                                        {"vm", event.Event{Type: fixtures.Preempt, Lasts: duration(1)}},
		`"canReschedule": only upcoming-maintenance events have it`:                                  {"vm", event.Event{Type: fixtures.Preempt, CanReschedule: new(true)}},
		`"targetState": only preempt and shutdown events have it`:                                    {"vm", event.Event{Type: fixtures.LiveMigrate, TargetState: "STOPPED"}},
		`"targetState": "GONE" is neither STOPPED nor DELETED`:                                       {"vm", event.Event{Type: fixtures.Shutdown, TargetState: "GONE"}},
		`the entry cannot be edited: the metadata of profile "gke" cannot have "instance/preempted"`: {"pod", event.Event{Type: fixtures.Preempt}},
	} {
		if _, err := s.Play(test.instance, test.event); err == nil || err.Error() != want {
			t.Errorf("refused with %v, want %s", err, want)
		}
	}
	if s.worlds.Load().Revision != before || len(s.List()) != 0 {
		t.Error("a refused event changed the world")
	}
	for range 1000 {
		s.play(t, "vm", event.Event{Type: fixtures.Preempt, In: fixtures.Duration(time.Hour)})
	}
	if _, err := s.Play("vm", event.Event{Type: fixtures.Preempt}); !errors.Is(err, event.ErrTooMany) {
		t.Errorf("Play = %v, want ErrTooMany", err)
	}
	s.Clear()
}

func TestScenario(t *testing.T) {
	t.Parallel()
	s := newStage(t, `
instances:
  - name: vm
    scenario:
      - {at: 0s, set: {instance/attributes/stage: first}}
      - {at: 10s, event: preempt}
      - {at: 20s, set: {instance/attributes/stage: second, instance/gpu/count: 2, project/attributes/p: v}}
      - {at: 45s, event: shutdown, notice: 1m, targetState: DELETED}
`)
	s.clock.Freeze()
	s.Begin()
	paths := []string{"attributes/stage", "preempted", "gpu/count", "shutdown-details/stop-state", "shutdown-details/max-duration", "shutdown-details/target-state"}
	for _, test := range []struct {
		after time.Duration
		want  string
	}{
		{0, "first FALSE    "},
		{10 * time.Second, "first TRUE    "},
		{10 * time.Second, "second TRUE 2   "},
		{20 * time.Second, "second TRUE 2 STOPPING  STOPPED"},
		{5 * time.Second, "second TRUE 2 PENDING_STOP 60 DELETED"},
		{time.Minute, "second TRUE 2 STOPPING 60 DELETED"},
	} {
		s.advance(t, test.after)
		if got := s.values(t, "vm", paths...); got != test.want {
			t.Errorf("%v later: %q, want %q", test.after, got, test.want)
		}
	}
	if s.logs.Len() > 0 {
		t.Errorf("logged %s", s.logs)
	}
}

// List returns the events with their times.
func TestList(t *testing.T) {
	t.Parallel()
	s := newStage(t, "instances: [{name: vm, scenario: [{at: 1m, set: {instance/tags: [a]}}, {at: 2m, event: shutdown}]}]")
	s.clock.Freeze()
	s.Begin()
	begun := s.clock.Now().UTC()
	want := []event.Playing{
		{
			ID: "1", Instance: "vm", Event: event.Event{In: fixtures.Duration(time.Minute)}, Set: map[string]any{"instance/tags": []any{"a"}},
			Begins: begun.Add(time.Minute), Ends: begun.Add(time.Minute),
		},
		{
			ID: "2", Instance: "vm", Event: event.Event{Type: fixtures.Shutdown, In: fixtures.Duration(2 * time.Minute)},
			Begins: begun.Add(2 * time.Minute), Ends: begun.Add(12 * time.Minute),
		},
	}
	if diff := cmp.Diff(want, s.List()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
