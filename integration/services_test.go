package integration_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// goRun holds the results of the Go client of Cloud Run's API.
type goRun struct {
	URI, Account, Image, Deleted string
	Audiences, Listed, Members   []string
	Generation                   int
}

func TestGoServices(t *testing.T) {
	r := newRig(t)
	const member = "serviceAccount:" + workerAccount
	got := report[goRun](t, r.exec(t, r.stage.GoCloud, "services", "orders", workerAccount, member))
	want := goRun{
		URI: "https://orders-" + projectNumber + ".us-central1.run.app", Account: workerAccount, Image: "us-docker.pkg.dev/cloudrun/container/hello", Deleted: "NotFound",
		Audiences: []string{"orders"}, Listed: []string{"projects/demo-project/locations/us-central1/services/orders"}, Members: []string{member}, Generation: 2,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
}

// TestGcloudServices lets a member call a service as the documents do. To describe a service, gcloud
// asks a host of the region, which leads to the emulator by proxy.
func TestGcloudServices(t *testing.T) {
	r := newGcloudRig(t)
	const member = "user:dev@example.com"
	results, fixture := t.TempDir(), filepath.Join(t.TempDir(), "services.yaml")
	world := "instances: [{name: demo-vm}, {name: orders, profile: cloud-run, zone: europe-west1-b, ingress: {}}, {name: search, profile: cloud-run, ingress: {}}]\n"
	if err := os.WriteFile(fixture, []byte(world), 0o600); err != nil {
		t.Fatal(err)
	}
	r.execWith(t, append(byProxy(), "--fixture", fixture), "sh", "clients/gcloud/services.sh", "orders", "europe-west1", member, results)
	result := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(results, name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	services := decode[[]struct{ Metadata struct{ Name string } }](t, result("services.json"))
	if len(services) != 2 || services[0].Metadata.Name != "orders" || services[1].Metadata.Name != "search" {
		t.Errorf("services %+v", services)
	}
	if got := oneLine(t, result("of-the-region")); got != "orders" {
		t.Errorf("the region has %q", got)
	}
	url := oneLine(t, result("url"))
	if want := "https://orders-" + projectNumber + ".europe-west1.run.app"; url != want || !strings.Contains(string(result("description")), url) {
		t.Errorf("the URL is %q, want %q; the description:\n%s", url, want, result("description"))
	}
	type policy struct {
		Bindings []struct {
			Role    string
			Members []string
		}
	}
	for _, name := range []string{"added.json", "read.json", "set.json"} {
		got := decode[policy](t, result(name))
		if len(got.Bindings) != 1 || got.Bindings[0].Role != "roles/run.invoker" || !slices.Equal(got.Bindings[0].Members, []string{member}) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := decode[policy](t, result("removed.json")); len(got.Bindings) != 0 {
		t.Errorf("bindings are left: %+v", got)
	}
	if !strings.Contains(string(result("stale")), "concurrent") {
		t.Errorf("a policy with an outdated etag: %s", result("stale"))
	}
}
