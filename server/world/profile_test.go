package world_test

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/server/world/worldtest"
)

const everyProfile = `
project: {number: 4711}
instances:
  - {name: vm}
  - {name: pod, profile: gke, zone: europe-west1-b, kubernetesServiceAccount: prod/web, serviceAccounts: []}
  - {name: annotated, profile: gke}
  - {name: service, profile: cloud-run, zone: europe-west1-b}
  - {name: function, profile: cloud-functions, metadata: {instance: {id: "00aa"}}}
  - {name: app, profile: app-engine}
`

func TestProfiles(t *testing.T) {
	t.Parallel()
	w := worldtest.Parse(t, everyProfile)
	if !slices.Contains(keys(t, at(t, w.Instances[0].Metadata, "instance")), "tags") {
		t.Error("a VM has no tags")
	}
	serverless := []string{"id", "region", "serviceAccounts", "zone"}
	pod := []string{"attributes", "hostname", "id", "serviceAccounts", "zone"}
	for i, want := range map[int][]string{1: pod, 2: pod, 3: serverless, 4: serverless, 5: serverless} {
		metadata := w.Instances[i].Metadata
		if diff := cmp.Diff(want, keys(t, at(t, metadata, "instance"))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", w.Instances[i].Name, diff)
		}
		if diff := cmp.Diff([]string{"instance", "project"}, keys(t, metadata)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", w.Instances[i].Name, diff)
		}
		if diff := cmp.Diff(map[string]any{"projectId": "demo-project", "numericProjectId": json.Number("4711")}, at(t, metadata, "project")); diff != "" {
			t.Errorf("%s: project (-want +got):\n%s", w.Instances[i].Name, diff)
		}
	}
}

// A fixture that was not read from a file need not name a profile.
func TestProfileIsOptional(t *testing.T) {
	t.Parallel()
	w := world.New(&fixtures.Fixture{Instances: []fixtures.Instance{{Name: "vm", Zone: "us-central1-a"}}})
	if got := w.DefaultInstance().Profile; got != fixtures.GCE {
		t.Errorf("profile is %q, want %q", got, fixtures.GCE)
	}
}

func keys(t *testing.T, document any) []string {
	t.Helper()
	object, ok := document.(map[string]any)
	if !ok {
		t.Fatalf("no object: %v", document)
	}
	return slices.Sorted(maps.Keys(object))
}

func TestProfileValues(t *testing.T) {
	t.Parallel()
	w := worldtest.Parse(t, everyProfile)
	for _, test := range []struct {
		instance string
		want     any
		path     []any
	}{
		{"pod", "pod.europe-west1-b.c.demo-project.internal", []any{"instance", "hostname"}},
		{"pod", "projects/4711/zones/europe-west1-b", []any{"instance", "zone"}},
		{"pod", "europe-west1-b", []any{"instance", "attributes", "cluster-location"}},
		{"pod", "demo-project.svc.id.goog", []any{"instance", "serviceAccounts", "default", "email"}},
		{"pod", "demo-project.svc.id.goog", []any{"instance", "serviceAccounts", "demo-project.svc.id.goog", "email"}},
		{"annotated", "4711-compute@developer.gserviceaccount.com", []any{"instance", "serviceAccounts", "default", "email"}},
		{"service", "projects/4711/regions/europe-west1", []any{"instance", "region"}},
		{"service", "projects/4711/zones/europe-west1-1", []any{"instance", "zone"}},
		{"function", "00aa", []any{"instance", "id"}},
		{"app", "demo-project@appspot.gserviceaccount.com", []any{"instance", "serviceAccounts", "default", "email"}},
	} {
		instance, ok := w.Instance(test.instance)
		if !ok {
			t.Fatalf("no instance %q", test.instance)
		}
		if diff := cmp.Diff(test.want, at(t, instance.Metadata, test.path...)); diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", test.instance, test.path, diff)
		}
	}
	service, _ := w.Instance("service")
	if id := service.ID(); len(id) != 130 || strings.Trim(id, "0123456789abcdef") != "" || !strings.HasPrefix(id, "00") {
		t.Errorf("ID of a service is %q, want 130 hexadecimal digits", id)
	}
	pod, _ := w.Instance("pod")
	account := pod.ServiceAccounts[0]
	if account.Kubernetes != "prod/web" || account.Account.Email != "demo-project.svc.id.goog[prod/web]" || len(account.Account.UniqueID) != 21 {
		t.Errorf("a pod without a Google account is %+v of %+v", account, account.Account)
	}
	if found, ok := w.Account(account.Account.UniqueID); !ok || found != account.Account {
		t.Error("the tokens of a Kubernetes service account have no principal")
	}
	if _, ok := w.Account(account.Account.Email); ok || slices.Contains(w.Accounts, account.Account) {
		t.Error("a Kubernetes service account is a service account of the project")
	}
}

// A recording decides which entries exist, and the profile decides the principal.
func TestRecordedProfiles(t *testing.T) {
	t.Parallel()
	w := worldtest.Parse(t, `
instances:
  - name: pod
    profile: gke
    recording: {instance: {id: 1, serviceAccounts: {default: {aliases: [default], email: demo-project.svc.id.goog, scopes: [a]}}}, project: {projectId: demo-project}}
  - name: service
    profile: cloud-run
    recording: {id: "00ab", region: projects/1/regions/europe-west1, serviceAccounts: {default: {email: x@example.com}}}
`)
	pod, service := w.Instances[0], w.Instances[1]
	if len(pod.ServiceAccounts) != 1 || pod.ServiceAccounts[0].Kubernetes != "default/default" || pod.ServiceAccounts[0].Email != "demo-project.svc.id.goog" {
		t.Errorf("the pod runs as %+v", pod.ServiceAccounts)
	}
	if _, ok := w.Account("demo-project.svc.id.goog"); ok {
		t.Error("the pool is a service account")
	}
	if len(service.ServiceAccounts) != 1 || service.ServiceAccounts[0].Account.Email != "x@example.com" || service.ID() != "00ab" {
		t.Errorf("the service is %s and runs as %+v", service.ID(), service.ServiceAccounts)
	}
}

// The keys of a document are not names of the tree.
func TestDocumentsStayAsTheyAre(t *testing.T) {
	t.Parallel()
	w := worldtest.Parse(t, `
instances:
  - name: app
    metadata:
      instance:
        gce-workload-certificates: {config-status: {partner-errors: {}, "spiffe://a/b": 1}}
        attributes: {users: x}
`)
	want := map[string]any{"configStatus": map[string]any{"partner-errors": map[string]any{}, "spiffe://a/b": json.Number("1")}}
	if diff := cmp.Diff(want, at(t, w.DefaultInstance().Metadata, "instance", "gceWorkloadCertificates")); diff != "" {
		t.Errorf("certificates (-want +got):\n%s", diff)
	}
}

func TestEditsFitTheProfile(t *testing.T) {
	t.Parallel()
	w := worldtest.Parse(t, everyProfile)
	for _, test := range []struct {
		instance, path string
		want           error
	}{
		{"pod", "instance/attributes/cluster-name", nil},
		{"pod", "instance/tags/0", world.ErrFixedEntry},
		{"pod", "project/attributes/k", world.ErrFixedEntry},
		{"service", "instance/region", nil},
		{"service", "instance/attributes/k", world.ErrFixedEntry},
		{"vm", "project/attributes/k", nil},
	} {
		instance, _ := w.Instance(test.instance)
		after, err := w.WithMetadata(instance, test.path, "v")
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %s: %v, want %v", test.instance, test.path, err, test.want)
		}
		if err != nil || test.instance != "vm" {
			continue
		}
		for _, other := range after.Instances[1:] {
			if slices.Contains(keys(t, at(t, other.Metadata, "project")), "attributes") {
				t.Errorf("%s has project attributes", other.Name)
			}
		}
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	w := worldtest.Parse(t, everyProfile)
	set := func(path string, size int) error {
		after, err := w.WithMetadata(w.DefaultInstance(), path, strings.Repeat("x", size))
		if err == nil {
			w = after
		}
		return err
	}
	for _, directory := range []string{"instance/attributes/", "project/attributes/", "instance/guest-attributes/ns/"} {
		if err := set(directory+"a", 256<<10); err != nil {
			t.Errorf("%s: %v", directory, err)
		}
		if err := set(directory+"b", 256<<10+1); !errors.Is(err, world.ErrTooLarge) {
			t.Errorf("%s: too large a value: %v", directory, err)
		}
		if err := set(directory+"b", 256<<10-4); err != nil {
			t.Errorf("%s: all that there can be: %v", directory, err)
		}
		if err := set(directory+"c", 3); !errors.Is(err, world.ErrTooLarge) {
			t.Errorf("%s: too much: %v", directory, err)
		}
	}
	if err := set("instance/description", 1<<20); err != nil {
		t.Errorf("a description has no such limit: %v", err)
	}
}

// The emulator fills in the values that an access config in a fixture leaves out.
func TestAccessConfigs(t *testing.T) {
	t.Parallel()
	w := worldtest.Parse(t, "instances: [{name: a, metadata: {instance: {network-interfaces: [{access-configs: [{external-ip: 203.0.113.9}, {}]}]}}}]")
	got, err := w.Metadata(w.DefaultInstance(), "instance/network-interfaces/0/access-configs")
	want := []any{
		map[string]any{"externalIp": "203.0.113.9", "type": "ONE_TO_ONE_NAT"},
		map[string]any{"externalIp": "", "type": "ONE_TO_ONE_NAT"},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("access configs (-want +got):\n%s, %v", diff, err)
	}
}
