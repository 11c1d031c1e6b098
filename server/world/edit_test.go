package world_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/world"
)

const edited = `
instances:
  - name: app
    metadata: {instance: {attributes: {kubeEnv: a}, tags: [x], guestAttributes: {ns: {k: v}}}}
  - name: other
`

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
			before := parse(t, edited)
			untouched := parse(t, edited)
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
	before := parse(t, edited)
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
	w := parse(t, edited)
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

// Names and keys become one another.
func TestNaming(t *testing.T) {
	t.Parallel()
	for key, name := range map[string]string{
		"id": "id", "projectId": "project-id", "numericProjectId": "numeric-project-id", "gatewayIpv6": "gateway-ipv6",
		"dhcpv6Refresh": "dhcpv6-refresh", "remainingCpuTime": "remaining-cpu-time",
	} {
		if got := (world.Naming{}).Name(key); got != name {
			t.Errorf("Name(%q) = %q, want %q", key, got, name)
		}
		if got := (world.Naming{}).Key(name); got != key {
			t.Errorf("Key(%q) = %q, want %q", name, got, key)
		}
	}
	if got := (world.Naming{}).Below("attributes").Name("kubeEnv"); got != "kubeEnv" {
		t.Errorf("the name of an attribute becomes %q", got)
	}
}

// An entry that only some instances have is taken from those.
func TestProjectEntryOfSome(t *testing.T) {
	t.Parallel()
	before := parse(t, `
instances:
  - {name: a, metadata: {project: {list: ["1", "2", "3"], one: {x: "1"}}}}
  - {name: b, metadata: {project: {list: ["1"], one: "7"}}}
`)
	after, err := before.WithoutMetadata(before.DefaultInstance(), "project/list/2")
	if err != nil {
		t.Fatal(err)
	}
	if after, err = after.WithoutMetadata(after.DefaultInstance(), "project/one/x"); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]any{"project/list": []any{"1"}, "project/one": "7"} {
		if got, err := after.Metadata(after.Instances[1], path); err != nil || !cmp.Equal(want, got) {
			t.Errorf("%s of the other instance is %v, %v; want %v", path, got, err, want)
		}
	}
}

// A key and the name that it becomes are one.
func TestKeysAreCanonical(t *testing.T) {
	t.Parallel()
	w := parse(t, "instances: [{name: a, metadata: {instance: {cpu-platform: X}}}]")
	if got := at(t, w.DefaultInstance().Metadata, "instance", "cpuPlatform"); got != "X" {
		t.Errorf("cpuPlatform is %v, want X", got)
	}
	if got := at(t, w.DefaultInstance().Metadata, "instance", "cpu-platform"); got != nil {
		t.Errorf("there is a second key with value %v", got)
	}
}
