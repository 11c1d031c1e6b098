package mds_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/workloads"
)

func request(instance, path string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, path, http.NoBody)
	r.Header.Set("Metadata-Flavor", "Google")
	r.Host = instance + ".localhost"
	return r
}

func ask(t *testing.T, rig *rig, r *http.Request) wire.Response {
	t.Helper()
	response, err := rig.Metadata(r)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

// Errors outside the handlers have the format of the target instance.
func TestErrorsSpeakTheDialectOfTheInstance(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	for instance, want := range map[string][2]string{
		"demo-vm": {"Metadata Server for VM", "text/html; charset=UTF-8"},
		"pod":     {"GKE Metadata Server", "text/plain; charset=utf-8"},
	} {
		got := rig.Dialect().Error(request(instance, "/computeMetadata/v1/"), wire.ErrStopping)
		if server := got.Shared["Server"][0]; server != want[0] || got.ContentType != want[1] || got.Status != http.StatusServiceUnavailable {
			t.Errorf("%s: %d of %q in %q, want 503 and %q", instance, got.Status, server, got.ContentType, want)
		}
	}
}

// Serverless workloads' server refuses its own names if a port follows them; a VM's does not. Every
// server answers at the emulator's own address, which has a port.
func TestHostWithPort(t *testing.T) {
	t.Parallel()
	for profile, bare := range map[string]bool{"gce": false, "gke": false, "cloud-run": true, "cloud-functions": true, "app-engine": true} {
		rig := newRig(t)
		rig.replace(t, "instances: [{name: only, profile: "+profile+"}]")
		for host, own := range map[string]bool{
			"169.254.169.254": false, "metadata.google.internal": false, "127.0.0.1:8254": false, "[::1]:8254": false, "only.localhost:8254": false, "emulator:8254": false,
			"169.254.169.254:80": true, "metadata.google.internal:80": true, "metadata.google.internal.:80": true, "[fd20:ce::254]:80": true,
		} {
			path := "/computeMetadata/v1/instance/id"
			r := request("only", path)
			r.Host = host
			value := ask(t, rig, r)
			r.URL.Path = "/"
			ping, err := rig.Ping(r)
			if err != nil {
				t.Fatal(err)
			}
			for _, got := range []wire.Response{value, ping} {
				_, flavor := got.Shared["Metadata-Flavor"]
				refused := got.Status == http.StatusForbidden && got.Body == "Unable to validate host: "+host+"\n" && !flavor
				if refused != (bare && own) || !refused && got.Status != 0 {
					t.Errorf("%s at %q: %d %q", profile, host, got.Status, got.Body)
				}
			}
		}
	}
}

// A reload may change an instance's kind of workload, or remove the instance.
func TestProfileChanges(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	const path = "/computeMetadata/v1/instance/name"
	if got := ask(t, rig, request("other-vm", path)); got.Body != "other-vm" {
		t.Fatalf("name is %q", got.Body)
	}
	rig.replace(t, "instances: [{name: demo-vm}, {name: other-vm, profile: gke}]")
	if got := ask(t, rig, request("other-vm", path)); got.Status != http.StatusNotFound || got.Body != "404 page not found\n" {
		t.Errorf("answer is %+v", got)
	}
	gone := request("pod", path)
	if got := ask(t, rig, gone.WithContext(workloads.Named(gone.Context(), "pod", workloads.ByListener))); got.Status != http.StatusServiceUnavailable {
		t.Errorf("a removed instance answered %+v", got)
	}
}
