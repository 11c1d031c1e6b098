package profiles_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/profiles"
)

func workload(profile fixtures.Profile) profiles.Workload {
	return profiles.Workload{
		Profile: profile, Name: "demo", Zone: "europe-west1-b", ID: 1234567890123456789,
		Accounts: []profiles.Account{{Email: "app@demo-project.iam.gserviceaccount.com", Aliases: []string{"default"}, Scopes: []string{"https://www.googleapis.com/auth/cloud-platform"}}},
		Project:  profiles.Project{ID: "demo-project", Number: 4711, Attributes: map[string]string{"key": "value"}, UniverseDomain: "googleapis.com"},
	}
}

// decode reads a JSON document with its numbers as they are written.
func decode(t *testing.T, document []byte) any {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestTree(t *testing.T) {
	t.Parallel()
	for profile, file := range map[fixtures.Profile]string{
		fixtures.GCE:            "gce.json",
		fixtures.GKE:            "gke.json",
		fixtures.CloudRun:       "serverless.json",
		fixtures.CloudFunctions: "serverless.json",
		fixtures.AppEngine:      "serverless.json",
	} {
		golden, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(decode(t, golden), any(workload(profile).Tree())); diff != "" {
			t.Errorf("the tree of %s (-want +got):\n%s", profile, diff)
		}
	}
}

// The project of a domain puts the domain last in the name of a VM.
func TestHostnameOfDomainProject(t *testing.T) {
	t.Parallel()
	vm := workload(fixtures.GCE)
	vm.Project.ID = "example.com:demo"
	instance, _ := vm.Tree()["instance"].(map[string]any)
	if got, want := instance["hostname"], "demo.europe-west1-b.c.demo.example.com.internal"; got != want {
		t.Errorf("the hostname is %v, want %s", got, want)
	}
}

// The defaults of a disk and of a network interface are consistent with what a fixture says.
func TestComplete(t *testing.T) {
	t.Parallel()
	document, _ := decode(t, []byte(`{"instance": {
		"disks": [{"deviceName": "boot"}, {"type": "LOCAL-SSD"}],
		"networkInterfaces": [
			{"ip": "10.138.0.7", "accessConfigs": [{"externalIp": "203.0.113.9"}, {}]},
			{"ip": "192.168.5.9", "subnetmask": "255.255.255.0", "mtu": 8896},
			{},
			{"ip": "fd20::1", "mac": "42:01:00:00:00:01"},
			{"gateway": "10.9.9.9", "subnetmask": "none"}
		]
	}}`)).(map[string]any)
	workload(fixtures.GCE).Complete(document)
	for _, test := range []struct {
		list string
		item int
		key  string
		want any
	}{
		{"networkInterfaces", 0, "gateway", "10.138.0.1"},
		{"networkInterfaces", 0, "mac", "42:01:0a:8a:00:07"},
		{"networkInterfaces", 0, "subnetmask", "255.255.240.0"},
		{"networkInterfaces", 0, "mtu", json.Number("1460")},
		{"networkInterfaces", 0, "network", "projects/4711/networks/default"},
		{"networkInterfaces", 0, "accessConfigs", []any{
			map[string]any{"externalIp": "203.0.113.9", "type": "ONE_TO_ONE_NAT"},
			map[string]any{"externalIp": "", "type": "ONE_TO_ONE_NAT"},
		}},
		{"networkInterfaces", 1, "gateway", "192.168.5.1"},
		{"networkInterfaces", 1, "mac", "42:01:c0:a8:05:09"},
		{"networkInterfaces", 1, "mtu", json.Number("8896")},
		{"networkInterfaces", 2, "gateway", "10.130.0.1"},
		{"networkInterfaces", 3, "ip", "fd20::1"},
		{"networkInterfaces", 3, "gateway", nil},
		{"networkInterfaces", 3, "mac", "42:01:00:00:00:01"},
		{"networkInterfaces", 4, "gateway", "10.9.9.9"},
		{"disks", 0, "deviceName", "boot"},
		{"disks", 0, "type", "PERSISTENT-BALANCED"},
		{"disks", 1, "index", json.Number("1")},
		{"disks", 1, "type", "LOCAL-SSD"},
		{"disks", 1, "deviceName", "persistent-disk-1"},
	} {
		instance, _ := document["instance"].(map[string]any)
		list, _ := instance[test.list].([]any)
		item, _ := list[test.item].(map[string]any)
		if diff := cmp.Diff(test.want, item[test.key]); diff != "" {
			t.Errorf("%s/%d/%s (-want +got):\n%s", test.list, test.item, test.key, diff)
		}
	}
}

// A fixture can set everything that the tree of a VM has.
func TestTreeIsKnown(t *testing.T) {
	t.Parallel()
	if misfit := fixtures.CheckTree(workload(fixtures.GCE).Tree(), nil); misfit != nil {
		t.Error(misfit)
	}
}
