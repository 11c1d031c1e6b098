package integration_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPrometheus finds machines with the service discovery of Prometheus. It has the host of the API
// compiled in.
func TestPrometheus(t *testing.T) {
	promtool := lookPath(t, "promtool", "Prometheus is not installed:")
	r := newRig(t)
	flags := append(byProxy(), "--fixture", "testdata/machines.yaml")
	type found struct{ DiscoveredLabels, Labels map[string]string }
	machines := report[[]found](t, r.execWith(t, flags, promtool, "check", "service-discovery", "--timeout=10s", "testdata/prometheus.yaml", "machines"))
	var got []string
	for _, machine := range machines {
		labels := machine.DiscoveredLabels
		got = append(got, strings.Join([]string{labels["__meta_gce_instance_name"], labels["__meta_gce_label_env"], labels["__meta_gce_tags"]}, " "))
	}
	if diff := cmp.Diff([]string{"web-1 prod ,http-server,"}, got); diff != "" {
		t.Errorf("machines (-want +got):\n%s", diff)
	}
}

// TestGcloudFindsMachines uses gcloud, which rewrites filters into the older form for the server.
func TestGcloudFindsMachines(t *testing.T) {
	lookPath(t, "gcloud", "gcloud is not installed:")
	r := newRig(t)
	for arguments, want := range map[string]string{
		"compute instances list --filter=labels.env=prod --format=value(name)":                 "web-1 db-1",
		"compute instances list --filter=name~^web --format=value(name)":                       "web-1 web-2",
		"compute zones list --filter=name:us-central1 --format=value(name)":                    "us-central1-a us-central1-b us-central1-c us-central1-f",
		"compute instance-groups list-instances web --zone=us-central1-a --format=value(NAME)": "web-1 web-2",
		"projects list --format=value(projectId)":                                              "demo-project",
		"projects get-ancestors demo-project --format=value(id)":                               "demo-project",
	} {
		output := r.execWith(t, []string{"--fixture", "testdata/machines.yaml"}, append([]string{"gcloud"}, strings.Fields(arguments)...)...)
		if diff := cmp.Diff(strings.Fields(want), strings.Fields(string(output))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", arguments, diff)
		}
	}
}
