// Package event plays what Google's infrastructure does to a VM: preemption, maintenance of
// its host, live migration, shutdown. An event is a sequence of changes of the instance's
// metadata, in the order and at the distances that Google documents, by the emulator's clock.
//
// What a change does to those who wait for one is for packages store and mds. The machine goes
// on: when a VM would be stopped, its metadata says so, and is served as before.
package event

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/world"
)

// Event is something that happens to an instance. Where Google documents a time it is the
// default.
type Event struct {
	Type fixtures.EventType `json:"type,omitempty"`
	In   clock.Duration     `json:"in,omitempty"` // until it is announced

	// Notice is how long before it happens it is announced: 30 s for preempt, 1 min for a
	// migration, 1 h before maintenance stops the VM, 10 min for shutdown, and 7 days for
	// upcoming-maintenance.
	Notice *clock.Duration `json:"notice,omitempty"`
	// Lasts is how long it takes: a migration or the stop for maintenance 10 s, the window of
	// upcoming-maintenance 4 h.
	Lasts *clock.Duration `json:"lasts,omitempty"`

	CanReschedule *bool  `json:"canReschedule,omitempty"` // of upcoming-maintenance; nil: true
	TargetState   string `json:"targetState,omitempty"`   // after preempt or shutdown: STOPPED, the default, or DELETED
}

// InvalidError says what is wrong with an event.
type InvalidError = fixtures.EventError

func (e Event) check() error {
	types := fixtures.EventTypes()
	if !slices.Contains(types, e.Type) {
		known := make([]string, len(types))
		for i, one := range types {
			known[i] = string(one)
		}
		return &InvalidError{Field: "type", Problem: fmt.Sprintf("there is no event %q; there are: %s", string(e.Type), strings.Join(known, ", "))}
	}
	if e.In < 0 || time.Duration(e.In) > fixtures.MostAhead {
		return &InvalidError{Field: "in", Problem: "it is not from 0s to a year"}
	}
	terms := fixtures.EventTerms{
		Notice: (*fixtures.Duration)(e.Notice), Lasts: (*fixtures.Duration)(e.Lasts), CanReschedule: e.CanReschedule, TargetState: e.TargetState,
	}
	if wrong := terms.Check(e.Type); wrong != nil {
		return wrong
	}
	return nil
}

// happening is the event of an entry of a scenario.
func happening(h fixtures.Happening) Event {
	return Event{
		Type: h.Event, In: clock.Duration(h.At), Notice: (*clock.Duration)(h.Notice), Lasts: (*clock.Duration)(h.Lasts),
		CanReschedule: h.CanReschedule, TargetState: h.TargetState,
	}
}

// step is what changes at once, so long after the event has begun.
type step struct {
	after   time.Duration
	entries []entry
}

// entry is a value that metadata gets.
type entry struct {
	path  string
	value any
	next  func(old any) any // instead of the value, where it depends on the old one
}

func set(path string, value any) entry { return entry{path: path, value: value} }

// sequence is what an event does to an instance, in order. It begins at a time.
func (e Event) sequence(w *world.World, instance *world.Instance, begins time.Time) []step {
	switch e.Type {
	case fixtures.Preempt:
		return e.preemption(begins)
	case fixtures.Shutdown:
		return e.shutdown(begins)
	case fixtures.LiveMigrate:
		return migration(or(e.Notice, migrationNotice), or(e.Lasts, disruption))
	case fixtures.Maintenance:
		return e.maintenance(w, instance)
	case fixtures.UpcomingMaintenance:
		return e.window(w, instance, begins)
	}
	return nil
}

func or(d *clock.Duration, standard time.Duration) time.Duration {
	if d == nil {
		return standard
	}
	return time.Duration(*d)
}

const (
	preemptionNotice  = 30 * time.Second
	migrationNotice   = time.Minute
	terminationNotice = time.Hour
	shutdownPeriod    = 10 * time.Minute
	windowNotice      = 7 * 24 * time.Hour
	windowLength      = 4 * time.Hour
	disruption        = 10 * time.Second // Google tells none
)

// preemption is announced by preempted, and ends with the VM being stopped
// (https://cloud.google.com/compute/docs/instances/spot#preemption-process).
func (e Event) preemption(begins time.Time) []step {
	details := e.shutdownDetails("STOPPING", begins)
	return []step{
		{0, []entry{set("instance/preempted", "TRUE")}},
		{or(e.Notice, preemptionNotice), []entry{details}},
	}
}

// shutdown is graceful: the VM is left some time until it is stopped
// (https://cloud.google.com/compute/docs/instances/graceful-shutdown-overview).
func (e Event) shutdown(begins time.Time) []step {
	period := or(e.Notice, shutdownPeriod)
	details := e.shutdownDetails("PENDING_STOP", begins)
	details.value.(map[string]any)["maxDuration"] = strconv.FormatInt(int64(period/time.Second), 10)
	return []step{
		{0, []entry{details}},
		{period, []entry{set("instance/shutdown-details/stop-state", "STOPPING")}},
	}
}

func (e Event) shutdownDetails(state string, requested time.Time) entry {
	target := e.TargetState
	if target == "" {
		target = fixtures.Stopped
	}
	return set("instance/shutdown-details", map[string]any{
		"requestTimestamp": stamp(requested), "stopState": state, "targetState": target,
	})
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

const maintenanceEvent = "instance/maintenance-event"

// migration is announced by maintenance-event; when the VM runs again, on another host, its
// clock may have jumped, of which the drift token tells
// (https://cloud.google.com/compute/docs/metadata/getting-live-migration-notice).
func migration(notice, lasts time.Duration) []step {
	return []step{
		{0, []entry{set(maintenanceEvent, "MIGRATE_ON_HOST_MAINTENANCE")}},
		{notice + lasts, []entry{{path: "instance/virtual-clock/drift-token", next: another}}},
		{notice + lasts, []entry{set(maintenanceEvent, "NONE")}},
	}
}

// another is a drift token other than the last one.
func another(old any) any {
	text, _ := old.(string)
	number, _ := strconv.ParseUint(text, 10, 64) // a text that is none counts as 0
	return strconv.FormatUint(number+1, 10)
}

// maintenance is what the instance's scheduling wants for that of its host: that it is moved,
// or stopped and started again.
func (e Event) maintenance(w *world.World, instance *world.Instance) []step {
	if policy, _ := w.Metadata(instance, "instance/scheduling/on-host-maintenance"); policy != "TERMINATE" {
		return migration(or(e.Notice, migrationNotice), or(e.Lasts, disruption))
	}
	return []step{
		{0, []entry{set(maintenanceEvent, "TERMINATE_ON_HOST_MAINTENANCE")}},
		{or(e.Notice, terminationNotice) + or(e.Lasts, disruption), []entry{set(maintenanceEvent, "NONE")}},
	}
}

const upcomingMaintenance = "instance/upcoming-maintenance"

// window is maintenance that is known long before. When it is done there is no notification
// any more (https://cloud.google.com/compute/docs/instances/monitor-plan-host-maintenance-event).
func (e Event) window(w *world.World, instance *world.Instance, begins time.Time) []step {
	notice := or(e.Notice, windowNotice)
	start := begins.Add(notice)
	notification := func(status string, canReschedule bool) entry {
		return set(upcomingMaintenance, map[string]any{
			"can_reschedule":           strconv.FormatBool(canReschedule),
			"latest_window_start_time": stamp(start),
			"maintenance_status":       status,
			"type":                     "SCHEDULED",
			"window_end_time":          stamp(start.Add(or(e.Lasts, windowLength))),
			"window_start_time":        stamp(start),
		})
	}
	steps := []step{
		{0, []entry{notification("PENDING", e.CanReschedule == nil || *e.CanReschedule)}},
		{notice, []entry{notification("ONGOING", false)}},
	}
	for _, s := range (Event{}).maintenance(w, instance) {
		steps = append(steps, step{notice + s.after, s.entries})
	}
	return append(steps, step{steps[len(steps)-1].after, []entry{set(upcomingMaintenance, "NONE")}})
}

// apply makes the changes of a step to the instance of a name.
func (s step) apply(w *world.World, name string) (*world.World, error) {
	for _, e := range s.entries {
		var err error
		if w, err = e.apply(w, name); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (e entry) apply(w *world.World, name string) (*world.World, error) {
	instance, ok := w.Instance(name)
	if !ok {
		return nil, ErrNoInstance
	}
	value := e.value
	if e.next != nil {
		old, _ := w.Metadata(instance, e.path) // nil where there is none
		value = e.next(old)
	}
	if e.path == upcomingMaintenance || e.path == "instance/shutdown-details" { // of either kind, or of other keys
		if without, err := w.WithoutMetadata(instance, e.path); err == nil {
			w = without
			instance, _ = w.Instance(name)
		}
	}
	return w.WithMetadata(instance, e.path, value)
}
