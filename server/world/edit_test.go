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
