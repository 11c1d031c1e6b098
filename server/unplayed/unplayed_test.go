package unplayed_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/unplayed"
)

// A request is named as Google's discovery documents name its method.
func TestNames(t *testing.T) {
	t.Parallel()
	for request, want := range map[string][]string{
		"POST compute.googleapis.com/compute/v1/projects/p/zones/z/instances":                  {"compute.instances.insert"},
		"POST www.googleapis.com/compute/v1/projects/p/zones/z/instances/vm/start":             {"compute.instances.start"},
		"GET compute.googleapis.com/compute/v1/projects/example.com:p/zones/z/instances":       {"compute.instances.list"},
		"GET storage.googleapis.com/storage/v1/b":                                              {"storage.buckets.list"},
		"HEAD storage.googleapis.com/storage/v1/b/photos":                                      {"storage.buckets.get"},
		"POST storage.googleapis.com/upload/storage/v1/b/photos/o":                             {"storage.objects.insert"},
		"GET storage.mtls.googleapis.com/storage/v1/b/photos/o/a%2Fb":                          {"storage.objects.get"},
		"GET secretmanager.googleapis.com/v1/projects/p/secrets/s/versions/latest:access":      {"secretmanager.projects.secrets.versions.access"},
		"POST us-central1-run.googleapis.com/v2/projects/p/locations/l/jobs/j:run":             {"run.projects.locations.jobs.run"},
		"POST pubsub.googleapis.com/v1/projects/p/topics/t:publish":                            {"pubsub.projects.topics.publish"},
		"POST bigquery.googleapis.com/bigquery/v2/projects/p/queries":                          {"bigquery.jobs.query"},
		"POST logging.googleapis.com/v2/entries:write":                                         {"logging.entries.write"},
		"POST monitoring.googleapis.com/v3/projects/p/timeSeries":                              {"monitoring.projects.timeSeries.create"},
		"GET cloudresourcemanager.googleapis.com/v3/projects:search":                           {"cloudresourcemanager.projects.search"},
		"GET /v1/projects/p/secrets/s":                                                         {"secretmanager.projects.secrets.get"},
		"GET storage.googleapis.com/photos/cat.png":                                            nil,
		"GET pubsub.googleapis.com/storage/v1/b":                                               nil, // of another API
		"GET iam.googleapis.com/v1/projects/p/serviceAccounts/a:disable":                       nil, // POST
		"GET unknown.googleapis.com/v1/projects/p/secrets/s":                                   nil,
		"GET secretmanager.googleapis.com/v1/projects/p/secrets/s/versions/latest:access/more": nil,
		"GET /": nil,
	} {
		method, target, _ := strings.Cut(request, " ")
		host, path, _ := strings.Cut(target, "/")
		if diff := cmp.Diff(want, unplayed.Names(unplayed.Request{Host: host, Method: method, Path: "/" + path})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", request, diff)
		}
	}
}

func TestSentences(t *testing.T) {
	t.Parallel()
	for request, want := range map[unplayed.Request]string{
		{Host: "compute.googleapis.com", Method: "POST", Path: "/compute/v1/projects/p/zones/z/instances"}: "not played: compute.instances.insert (POST compute.googleapis.com/compute/v1/projects/p/zones/z/instances)",
		{Host: "storage.googleapis.com", Method: "PUT", Path: "/a/b"}:                                      "not played: PUT storage.googleapis.com/a/b",
	} {
		if why, _ := unplayed.Method(request); why.Reason != want || why.Code != "not-played" || !strings.Contains(why.Hint, "host: "+request.Host) {
			t.Errorf("%+v, want %q", why, want)
		}
	}
	why, _ := unplayed.Method(unplayed.Request{Host: "us-central1-aiplatform.googleapis.com", Method: "GET", Path: "/a"})
	if !strings.Contains(why.Hint, "host: aiplatform.googleapis.com,") || unplayed.Body(why) != "Not played by this emulator: GET us-central1-aiplatform.googleapis.com/a" {
		t.Errorf("%+v", why)
	}
}
