// Package event plays the events that Google's infrastructure causes on a VM: preemption, host
// maintenance, live migration and shutdown. An event is a sequence of changes to the instance's
// metadata, in the order and at the intervals of Google's documentation, by the emulator's clock.
//
// Packages store and mds notify waiting clients. The machine itself keeps running: after a
// stop, its metadata says so, and remains available.
package event

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/world"
)

// Event is something that happens to an instance. The default times are Google's, if Google
// documents them.
type Event struct {
	Type fixtures.EventType `json:"type,omitempty"`
	In   fixtures.Duration  `json:"in,omitempty"` // the delay before the announcement

	// Notice is the time from the announcement to the event. Default: 30 s for preempt, 1 min
	// for a migration, 1 h if maintenance stops the VM, 10 min for shutdown, 7 days for
	// upcoming-maintenance.
	Notice *fixtures.Duration `json:"notice,omitempty"`
	// Lasts is the duration of the event. Default: 10 s for a migration or a stop for
	// maintenance, 4 h for the window of upcoming-maintenance.
	Lasts *fixtures.Duration `json:"lasts,omitempty"`

	CanReschedule *bool  `json:"canReschedule,omitempty"` // for upcoming-maintenance; nil: true
	TargetState   string `json:"targetState,omitempty"`   // after preempt or shutdown: STOPPED, the default, or DELETED
}

// InvalidError describes a mistake in an event.
type InvalidError = fixtures.EventError

func (e Event) check() error {
	types := fixtures.EventTypes()
	if !slices.Contains(types, e.Type) {
		known := make([]string, len(types))
		for i, one := range types {
			known[i] = string(one)
		}
		return &InvalidError{Field: "type", Problem: fmt.Sprintf("there is no event %q; use one of: %s", string(e.Type), strings.Join(known, ", "))}
	}
	if e.In < 0 || time.Duration(e.In) > fixtures.MostAhead {
		return &InvalidError{Field: "in", Problem: "give a duration from 0s to a year"}
	}
	terms := fixtures.EventTerms{
		Notice: e.Notice, Lasts: e.Lasts, CanReschedule: e.CanReschedule, TargetState: e.TargetState,
	}
	if wrong := terms.Check(e.Type); wrong != nil {
		return wrong
	}
	return nil
}

// happening returns the event of an entry of a scenario.
func happening(h fixtures.Happening) Event {
	return Event{
		Type: h.Event, In: h.At, Notice: h.Notice, Lasts: h.Lasts,
		CanReschedule: h.CanReschedule, TargetState: h.TargetState,
	}
}

// step is a set of simultaneous changes, some time after the start of an event.
type step struct {
	After   time.Duration `json:"after"`
	Entries []entry       `json:"entries"`
}

// entry is a change of one metadata value.
type entry struct {
	Path    string `json:"path"`
	Value   any    `json:"value,omitempty"`
	Another bool   `json:"another,omitempty"` // the value is made from the old one: see another

	// Recorded is the number of an entry of the instance's scenario, from 1 on, or 0. The recording of
	// this entry replaces all values.
	Recorded int `json:"recorded,omitempty"`
}

func set(path string, value any) entry { return entry{Path: path, Value: value} }

// sequence returns the steps of an event in order, if it starts at begins.
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

func or(d *fixtures.Duration, standard time.Duration) time.Duration {
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
	disruption        = 10 * time.Second // an assumption: Google documents no duration
)

// preemption is announced by preempted and stops the VM
// (https://cloud.google.com/compute/docs/instances/spot#preemption-process).
func (e Event) preemption(begins time.Time) []step {
	details := e.shutdownDetails("STOPPING", begins)
	return []step{
		{0, []entry{set("instance/preempted", "TRUE")}},
		{or(e.Notice, preemptionNotice), []entry{details}},
	}
}

// shutdown is graceful: it stops the VM after some time
// (https://cloud.google.com/compute/docs/instances/graceful-shutdown-overview).
func (e Event) shutdown(begins time.Time) []step {
	period := or(e.Notice, shutdownPeriod)
	details := e.shutdownDetails("PENDING_STOP", begins)
	details.Value.(map[string]any)["maxDuration"] = strconv.FormatInt(int64(period/time.Second), 10)
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

// migration is announced by maintenance-event. When the VM runs again on another host, its
// clock may have jumped, so the drift token changes
// (https://cloud.google.com/compute/docs/metadata/getting-live-migration-notice).
func migration(notice, lasts time.Duration) []step {
	return []step{
		{0, []entry{set(maintenanceEvent, "MIGRATE_ON_HOST_MAINTENANCE")}},
		{notice + lasts, []entry{{Path: "instance/virtual-clock/drift-token", Another: true}}},
		{notice + lasts, []entry{set(maintenanceEvent, "NONE")}},
	}
}

// another returns a new drift token, different from old.
func another(old any) any {
	text, _ := old.(string)
	number, _ := strconv.ParseUint(text, 10, 64) // other texts count as 0
	return strconv.FormatUint(number+1, 10)
}

// maintenance follows the instance's scheduling policy: it migrates the VM, or stops and
// restarts it.
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

// window is maintenance with a long notice. The notification disappears when the maintenance
// ends (https://cloud.google.com/compute/docs/instances/monitor-plan-host-maintenance-event).
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
		steps = append(steps, step{notice + s.After, s.Entries})
	}
	return append(steps, step{steps[len(steps)-1].After, []entry{set(upcomingMaintenance, "NONE")}})
}

// apply makes the changes of a step to the named instance.
func (s step) apply(w *world.World, name string) (*world.World, error) {
	for _, e := range s.Entries {
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
	if e.Recorded > 0 {
		return w.WithRecording(instance, instance.Scenario[e.Recorded-1].Recording), nil
	}
	value := e.Value
	if e.Another {
		old, _ := w.Metadata(instance, e.Path) // nil if there is no value
		value = another(old)
	}
	if e.Path == upcomingMaintenance || e.Path == "instance/shutdown-details" { // the old value may have another type or other keys
		if without, err := w.WithoutMetadata(instance, e.Path); err == nil {
			w = without
			instance, _ = w.Instance(name)
		}
	}
	return w.WithMetadata(instance, e.Path, value)
}
