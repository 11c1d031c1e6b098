package world_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/server/world/worldtest"
)

func at(t *testing.T, document any, path ...any) any {
	t.Helper()
	for _, step := range path {
		switch step := step.(type) {
		case string:
			object, _ := document.(map[string]any)
			document = object[step]
		case int:
			list, _ := document.([]any)
			if step >= len(list) {
				t.Fatalf("no item %d", step)
			}
			document = list[step]
		}
	}
	return document
}

// Invented values are consistent with each other.
func TestValuesFitTogether(t *testing.T) {
	t.Parallel()
	w := worldtest.Parse(t, `
project: {id: "example.com:my-project", number: 4711}
instances: [{name: app, zone: europe-west1-b}]
`)
	metadata := w.DefaultInstance().Metadata
	for _, test := range []struct {
		want any
		path []any
	}{
		{json.Number("4711"), []any{"project", "numericProjectId"}},
		{"example.com:my-project", []any{"project", "projectId"}},
		{"app", []any{"instance", "name"}},
		{"app.europe-west1-b.c.my-project.example.com.internal", []any{"instance", "hostname"}},
		{"projects/4711/zones/europe-west1-b", []any{"instance", "zone"}},
		{"projects/4711/machineTypes/e2-medium", []any{"instance", "machineType"}},
		{"app", []any{"instance", "disks", 0, "deviceName"}},
		{"10.128.0.1", []any{"instance", "networkInterfaces", 0, "gateway"}},
		{"4711-compute@developer.gserviceaccount.com", []any{"instance", "serviceAccounts", "default", "email"}},
		{"googleapis.com", []any{"universe", "universeDomain"}},
	} {
		if diff := cmp.Diff(test.want, at(t, metadata, test.path...)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", test.path, diff)
		}
	}
	if id := w.DefaultInstance().ID(); len(id) != 19 {
		t.Errorf("instance ID is %q, want 19 digits", id)
	}
}

func TestInventedIDs(t *testing.T) {
	t.Parallel()
	first, second := worldtest.Parse(t, ""), worldtest.Parse(t, "")
	seen := map[string]bool{}
	for i, account := range first.Accounts {
		if len(account.UniqueID) != 21 || account.UniqueID[0] != '1' {
			t.Errorf("unique ID of %s is %q, want 21 digits", account.Email, account.UniqueID)
		}
		if account.UniqueID != second.Accounts[i].UniqueID || seen[account.UniqueID] {
			t.Errorf("unique ID of %s is not its own", account.Email)
		}
		seen[account.UniqueID] = true
	}
	if first.DefaultInstance().ID() != second.DefaultInstance().ID() {
		t.Error("the instance's ID changes")
	}
}

func TestAccount(t *testing.T) {
	t.Parallel()
	w := worldtest.Parse(t, `
serviceAccounts: [{email: app@demo-project.iam.gserviceaccount.com, uniqueId: "117"}]
`)
	for _, id := range []string{"app@demo-project.iam.gserviceaccount.com", "APP@demo-project.iam.gserviceaccount.com", "117"} {
		if account, ok := w.Account(id); !ok || account.UniqueID != "117" || account.MaxTokenLifetime != world.DefaultTokenLifetime {
			t.Errorf("Account(%q) = %+v, %v", id, account, ok)
		}
	}
	if account, ok := w.Account("nobody@example.com"); ok {
		t.Errorf("Account of nobody = %+v", account)
	}
}

// A fixture's metadata is laid over the profile's, deeply, and lists are replaced.
func TestOverlay(t *testing.T) {
	t.Parallel()
	w := worldtest.Parse(t, `
instances:
  - name: app
    metadata:
      instance:
        id: 18446744073709551615
        attributes: {a: b, n: 08}
        scheduling: {preemptible: "TRUE"}
        licenses: [{id: "1"}, {id: "2"}]
  - name: other
`)
	instance := w.DefaultInstance()
	if got := instance.ID(); got != "18446744073709551615" {
		t.Errorf("ID = %q, exact to the last digit", got)
	}
	want := map[string]any{"automaticRestart": "TRUE", "onHostMaintenance": "MIGRATE", "preemptible": "TRUE"}
	if diff := cmp.Diff(want, at(t, instance.Metadata, "instance", "scheduling")); diff != "" {
		t.Errorf("scheduling (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{"a": "b", "n": "08"}, at(t, instance.Metadata, "instance", "attributes")); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"1", "2"}, instance.LicenseIDs()); diff != "" {
		t.Errorf("licences (-want +got):\n%s", diff)
	}
	if got := at(t, w.Instances[1].Metadata, "instance", "scheduling", "preemptible"); got != "FALSE" {
		t.Errorf("the overlay of one instance changes another: preemptible is %v", got)
	}
}
