package world_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/server/world/worldtest"
)

const edited = `
instances:
  - name: app
    metadata: {instance: {attributes: {kubeEnv: a}, tags: [x], guestAttributes: {ns: {k: v}}}}
  - name: other
`

// A scenario can set a value only if the control plane could set it at that time.
func TestScenariosAreChecked(t *testing.T) {
	t.Parallel()
	for scenario, want := range map[string]string{
		"[{at: 1s, set: {instance/attributes/k: v, instance/x-nonsense/deep: 1}}]":   "<nil>",
		"[{at: 1s, set: {instance/attribute/k: v}}]":                                 `f.yaml:3:31: instances[0].scenario[0].set: the entry cannot be edited: the metadata of a VM has no "instance/attribute"`,
		"[{at: 1s, set: {instance/name: x}}]":                                        `f.yaml:3:31: instances[0].scenario[0].set: the entry cannot be edited: "instance/name" is set by the fixture`,
		"[{at: 1s, set: {instance/attributes/k: v, instance/tags: text}}]":           `f.yaml:3:57: instances[0].scenario[0].set: the entry cannot be edited: "instance/tags" is a list`,
		"[{at: 2s, set: {instance/x-new: a}}, {at: 1s, set: {instance/x-new: [a]}}]": `f.yaml:3:31: instances[0].scenario[0].set: the entry cannot be edited: "instance/x-new" is a list`,
		"[{at: 1s, set: {instance/tags: [a]}}]\n    profile: gke":                    `f.yaml:3:31: instances[0].scenario[0].set: the entry cannot be edited: the metadata of profile "gke" cannot have "instance/tags"`,
	} {
		f, err := fixtures.Parse("f.yaml", []byte("instances:\n  - name: vm\n    scenario: "+scenario+"\n"), "")
		if err != nil {
			t.Fatal(err)
		}
		_, err = world.Checked(f)
		if got := fmt.Sprint(err); got != want {
			t.Errorf("%s: %s, want %s", scenario, got, want)
		}
		if mistake, ok := errors.AsType[*fixtures.Error](err); err != nil && (!ok || !strings.Contains(mistake.Excerpt, "^")) {
			t.Errorf("%s: no excerpt shows the place", scenario)
		}
	}
	byHand := fixtures.Default()
	byHand.Instances[0].Scenario = []fixtures.Happening{{Set: map[string]any{"instance/id": "1"}}}
	if _, err := world.Checked(byHand); err == nil {
		t.Error("a scenario that was made by hand is not checked")
	}
}

func TestEdits(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		path  string
		value any
	}{
		{"instance/attributes/kubeEnv", "b"}, // users choose the case of these
		{"instance/attributes/new-one", "b"},
		{"instance/maintenance-event", "MIGRATE_ON_HOST_MAINTENANCE"},
		{"instance/scheduling/on-host-maintenance", "TERMINATE"},
		{"instance/remaining-cpu-time", json.Number("5")},
		{"instance/network-interfaces/0/access-configs/0/external-ip", "203.0.113.9"},
		{"instance/network-interfaces/0/forwarded-ips/0", "10.0.0.1"}, // behind the last
		{"instance/guest-attributes/ns/k", "w"},
		{"instance/guest-attributes/another/k", "w"},
		{"instance/shutdown-details/stop-state", "PENDING_STOP"}, // a directory that was not there
		{"instance/tags", []any{"y", "z"}},
		{"/instance//tags/", []any{}},
	} {
		t.Run(test.path, func(t *testing.T) {
			t.Parallel()
			before := worldtest.Parse(t, edited)
			untouched := worldtest.Parse(t, edited)
			after, err := before.WithMetadata(before.DefaultInstance(), test.path, test.value)
			if err != nil {
				t.Fatal(err)
			}
			got, err := after.Metadata(after.DefaultInstance(), test.path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.value, got); diff != "" {
				t.Errorf("value (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(untouched.DefaultInstance().Metadata, before.DefaultInstance().Metadata); diff != "" {
				t.Errorf("the old world has changed:\n%s", diff)
			}
			if found, ok := after.Instance("app"); !ok || found != after.DefaultInstance() || after.Instances[1] != before.Instances[1] {
				t.Error("the index is of another world, or another instance was replaced")
			}
			gone, err := after.WithoutMetadata(after.DefaultInstance(), test.path)
			if err != nil {
				t.Fatal(err)
			}
			if value, err := gone.Metadata(gone.DefaultInstance(), test.path); !errors.Is(err, world.ErrNoEntry) {
				t.Errorf("still there after it was taken away: %v, %v", value, err)
			}
		})
	}
}

func TestProjectIsEverybodys(t *testing.T) {
	t.Parallel()
	before := worldtest.Parse(t, edited)
	after, err := before.WithMetadata(before.DefaultInstance(), "project/attributes/k", "v")
	if err != nil {
		t.Fatal(err)
	}
	for _, instance := range after.Instances {
		if value, err := after.Metadata(instance, "project/attributes/k"); err != nil || value != "v" {
			t.Errorf("%s: %v, %v", instance.Name, value, err)
		}
	}
}

func TestEditsThatCannotBe(t *testing.T) {
	t.Parallel()
	w := worldtest.Parse(t, edited)
	for path, want := range map[string]error{
		"":                                   world.ErrFixedEntry,
		"instance":                           world.ErrFixedEntry,
		"project/project-id":                 world.ErrFixedEntry,
		"instance/name":                      world.ErrFixedEntry,
		"instance/service-accounts/a/email":  world.ErrFixedEntry,
		"instance/serviceAccounts/a":         world.ErrFixedEntry, // the key means the same
		"instance/zone":                      world.ErrFixedEntry,
		"instance/foo-1":                     world.ErrFixedEntry, // no key has this name
		"instance/network-interfaces/+0":     world.ErrNoEntry,
		"instance/scheduling":                world.ErrFixedEntry, // a directory, not a text
		"instance/zone/below":                world.ErrFixedEntry,
		"instance/zone/below/more":           world.ErrFixedEntry,
		"instance/network-interfaces/7/ip":   world.ErrNoEntry,
		"instance/network-interfaces/x":      world.ErrNoEntry,
		"instance/network-interfaces/-1/mtu": world.ErrNoEntry,
	} {
		if _, err := w.WithMetadata(w.DefaultInstance(), path, "v"); !errors.Is(err, want) {
			t.Errorf("WithMetadata(%q) = %v, want %v", path, err, want)
		}
	}
	for _, path := range []string{"instance/nothing", "instance/attributes/nothing", "instance/network-interfaces/9"} {
		if _, err := w.WithoutMetadata(w.DefaultInstance(), path); !errors.Is(err, world.ErrNoEntry) {
			t.Errorf("WithoutMetadata(%q) = %v, want ErrNoEntry", path, err)
		}
	}
}

// An entry that only a recording has can be edited, and the state after the edit can be read back.
func TestEditsOfUnknownEntries(t *testing.T) {
	t.Parallel()
	const recording = `recording: {instance: {name: a, new-one: {b: c}, disks: [{odd: 1}, {}], tags: text}, project: {}}`
	for _, test := range []struct {
		path  string
		value any
		want  error
	}{
		{"instance/new-one/b", "d", nil},
		{"instance/newOne/e/f", "d", nil},
		{"instance/disks/1/odd", json.Number("2"), nil}, // as in another item
		{"instance/disks/1/even", json.Number("2"), world.ErrFixedEntry},
		{"instance/tags", "other", nil},
		{"instance/newer", "d", world.ErrFixedEntry},
		{"project/attribute/k", "d", world.ErrFixedEntry},
		{"instance/x-own/a", true, nil},
	} {
		w := worldtest.Parse(t, "instances: [{"+recording+"}]")
		edited, err := w.WithMetadata(w.DefaultInstance(), test.path, test.value)
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.path, err, test.want)
		}
		if err != nil {
			continue
		}
		text, err := json.Marshal(edited.Fixture())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fixtures.Parse("state.json", text, ""); err != nil {
			t.Errorf("the state after an edit of %s: %v", test.path, err)
		}
	}
}

// A project entry that only some instances have is removed from these instances.
func TestProjectEntryOfSome(t *testing.T) {
	t.Parallel()
	before := worldtest.Parse(t, `
instances:
  - {name: a, metadata: {project: {x-list: ["1", "2", "3"], x-one: {x: "1"}}}}
  - {name: b, metadata: {project: {x-list: ["1"], x-one: "7"}}}
`)
	after, err := before.WithoutMetadata(before.DefaultInstance(), "project/x-list/2")
	if err != nil {
		t.Fatal(err)
	}
	if after, err = after.WithoutMetadata(after.DefaultInstance(), "project/x-one/x"); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]any{"project/x-list": []any{"1"}, "project/x-one": "7"} {
		if got, err := after.Metadata(after.Instances[1], path); err != nil || !cmp.Equal(want, got) {
			t.Errorf("%s of the other instance is %v, %v; want %v", path, got, err, want)
		}
	}
}

// A key and the name that it becomes are one.
func TestKeysAreCanonical(t *testing.T) {
	t.Parallel()
	w := worldtest.Parse(t, "instances: [{name: a, metadata: {instance: {cpu-platform: X}}}]")
	if got := at(t, w.DefaultInstance().Metadata, "instance", "cpuPlatform"); got != "X" {
		t.Errorf("cpuPlatform is %v, want X", got)
	}
	if got := at(t, w.DefaultInstance().Metadata, "instance", "cpu-platform"); got != nil {
		t.Errorf("there is a second key with value %v", got)
	}
}

// The keys of a value get the form of the tree's keys, wherever the value is set.
func TestValuesAreCanonical(t *testing.T) {
	t.Parallel()
	w := worldtest.Parse(t, edited)
	for path, test := range map[string]struct{ value, want any }{
		"instance/scheduling":      {map[string]any{"on-host-maintenance": "X"}, map[string]any{"onHostMaintenance": "X"}},
		"instance/disks/0":         {map[string]any{"device-name": "x"}, map[string]any{"deviceName": "x"}},
		"instance/disks":           {[]any{map[string]any{"device-name": "x"}}, []any{map[string]any{"deviceName": "x"}}},
		"instance/guestAttributes": {map[string]any{"a-b": map[string]any{"c-d": "x"}}, map[string]any{"a-b": map[string]any{"c-d": "x"}}},
		"instance/attributes":      {map[string]any{"a-b": "x", "aB": "y"}, map[string]any{"a-b": "x", "aB": "y"}},
		"oslogin/users":            {map[string]any{"a/b": []any{nil}, "a-b": "x"}, map[string]any{"a/b": []any{nil}, "a-b": "x"}},
	} {
		after, err := w.WithMetadata(w.DefaultInstance(), path, test.value)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if got, err := after.Metadata(after.DefaultInstance(), path); err != nil || !cmp.Equal(test.want, got) {
			t.Errorf("%s is %v, %v; want %v", path, got, err, test.want)
		}
	}
}

func TestValuesThatCannotBe(t *testing.T) {
	t.Parallel()
	w := worldtest.Parse(t, edited)
	for _, test := range []struct {
		path  string
		value any
	}{
		{"instance/scheduling", map[string]any{"on-host-maintenance": "X", "onHostMaintenance": "Y"}},
		{"instance/scheduling", map[string]any{"a?b": "X"}},
		{"instance/scheduling", map[string]any{"..": "X"}},
		{"instance/scheduling", map[string]any{"a-1": "X"}}, // no key has this name
		{"instance/attributes/new", map[string]any{}},
		{"instance/attributes/new/below", "x"},
		{"instance/attributes/a.b", "x"}, // none of which a fixture could have
		{"instance/attributes/x@y", "x"},
		{"instance/attributes/!t", "x"},
		{"project/attributes/a:b", "x"},
		{"instance/attributes/" + strings.Repeat("k", 128), "x"},
		{"instance/attributes", map[string]any{"a": "x", "a.b": "x"}},
		{"instance/x-own", map[string]any{"users": nil}},
		{"instance/attributes", map[string]any{"a": json.Number("1")}},
		{"instance/disks/0", map[string]any{"mode": nil}},
		{"oslogin/users", nil},
	} {
		_, err := w.WithMetadata(w.DefaultInstance(), test.path, test.value)
		if value := (*world.ValueError)(nil); !errors.As(err, &value) {
			t.Errorf("%s = %v: %v, want a ValueError", test.path, test.value, err)
		}
	}
	bare, err := w.WithoutMetadata(w.DefaultInstance(), "instance/attributes")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bare.WithMetadata(bare.DefaultInstance(), "instance/attributes", "x"); err == nil {
		t.Error("attributes become a text")
	}
	for _, name := range []string{"a?b", "a#b", "a{b", "a|b", `a\b`, `a"b`, "a<b", "a^b", "a`b", "a b", "a\tb", "a\x7fb", "é", ".", ".."} {
		if _, err := w.WithMetadata(w.DefaultInstance(), "instance/attributes/"+name, "v"); !errors.Is(err, world.ErrFixedEntry) {
			t.Errorf("%q can be set and not be read: %v", name, err)
		}
	}
}

// Entries that Google's server has as a text at one time and with keys below at another
// become the one and the other.
func TestEntriesOfTwoKinds(t *testing.T) {
	t.Parallel()
	w := worldtest.Parse(t, edited)
	for _, path := range []string{"instance/upcoming-maintenance", "oslogin/users", "instance/gce-workload-certificates/trust-anchors"} {
		for _, value := range []any{"NONE", map[string]any{"type": "SCHEDULED"}, "NONE"} {
			after, err := w.WithMetadata(w.DefaultInstance(), path, value)
			if err != nil {
				t.Fatalf("%s = %v: %v", path, value, err)
			}
			w = after
			if got, err := w.Metadata(w.DefaultInstance(), path); err != nil || !cmp.Equal(value, got) {
				t.Errorf("%s is %v, %v; want %v", path, got, err, value)
			}
		}
	}
	if _, err := w.WithMetadata(w.DefaultInstance(), "instance/upcoming-maintenance/type", map[string]any{}); !errors.Is(err, world.ErrFixedEntry) {
		t.Errorf("below a text: %v, want ErrFixedEntry", err)
	}
}

// Recorded values keep the form of their keys after an edit, and if a fixture adds values to them.
func TestRecordedForms(t *testing.T) {
	t.Parallel()
	w := worldtest.Parse(t, `
instances:
  - recording: {instance: {cpu-platform: X, scheduling: {on-host-maintenance: MIGRATE}, service-accounts: {}, attributes: {}}, project: {}}
    metadata: {instance: {cpuPlatform: Y, scheduling: {onHostMaintenance: TERMINATE, preemptible: "FALSE"}}}
`)
	check := func(cpu string) {
		t.Helper()
		want := map[string]any{
			"cpu-platform": cpu, "scheduling": map[string]any{"on-host-maintenance": "TERMINATE", "preemptible": "FALSE"},
			"service-accounts": map[string]any{}, "attributes": map[string]any{},
		}
		if diff := cmp.Diff(want, at(t, w.DefaultInstance().Metadata, "instance")); diff != "" {
			t.Errorf("instance (-want +got):\n%s", diff)
		}
	}
	check("Y")
	for _, path := range []string{"instance/cpuPlatform", "instance/cpu-platform"} {
		after, err := w.WithMetadata(w.DefaultInstance(), path, path)
		if err != nil {
			t.Fatal(err)
		}
		w = after
		check(path)
	}
	if _, err := w.WithMetadata(w.DefaultInstance(), "instance/serviceAccounts/a", "x"); !errors.Is(err, world.ErrFixedEntry) {
		t.Errorf("the accounts of a recording: %v, want ErrFixedEntry", err)
	}
}

// Attributes beyond the limit can be made fewer and smaller, and not larger.
func TestTooLargeCanShrink(t *testing.T) {
	t.Parallel()
	const value = 200 << 10
	large := strings.Repeat("x", value)
	w := worldtest.Parse(t, `instances: [{recording: {instance: {attributes: {a: "`+large+`", b: "`+large+`", c: "`+large+`"}}, project: {}}}]`)
	for _, step := range []struct {
		path string
		size int
		want error
	}{
		{"instance/attributes/d", 1, world.ErrTooLarge},
		{"instance/attributes/c", value + 1, world.ErrTooLarge},
		{"instance/attributes/c", value - 1, nil},
		{"instance/attributes/d", 1, world.ErrTooLarge},
		{"instance/attributes/c", 1, nil},
		{"instance/attributes/d", 1, nil},
	} {
		after, err := w.WithMetadata(w.DefaultInstance(), step.path, strings.Repeat("y", step.size))
		if !errors.Is(err, step.want) {
			t.Errorf("%s of %d: %v, want %v", step.path, step.size, err, step.want)
		}
		if err == nil {
			w = after
		}
	}
}
