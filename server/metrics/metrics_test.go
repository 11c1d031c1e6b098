package metrics_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/metrics"
)

func TestText(t *testing.T) {
	t.Parallel()
	requests := metrics.NewRequests([]string{"mds.ping", "mds.token", "unknown"})
	requests.Observe("mds.token", 200, 250*time.Millisecond)
	requests.Observe("mds.token", 204, 250*time.Millisecond)
	requests.Observe("mds.token", 503, time.Second)
	requests.ObserveFault("mds.token")
	requests.Observe("unknown", 0, 0)
	requests.Observe("unknown", 999, 0) // no status there is
	requests.Observe("/some/path", 200, 0)
	families := append(requests.Families(), metrics.Single("answer", "With a \"quote\".", metrics.Gauge, 1e9),
		metrics.Family{Name: "escaped", Kind: metrics.Gauge, Samples: []metrics.Sample{{Labels: []string{"a", "\"\\\n", "b", ""}, Value: 0.5}}})
	want := `# HELP gcp_metadata_emulator_requests_total Requests answered, by route and class of status.
# TYPE gcp_metadata_emulator_requests_total counter
gcp_metadata_emulator_requests_total{route="mds.token",status="2xx"} 2
gcp_metadata_emulator_requests_total{route="mds.token",status="5xx"} 1
gcp_metadata_emulator_requests_total{route="unknown",status="none"} 1
gcp_metadata_emulator_requests_total{route="unknown",status="5xx"} 1
# HELP gcp_metadata_emulator_request_duration_seconds Time until the answer was ready.
# TYPE gcp_metadata_emulator_request_duration_seconds summary
gcp_metadata_emulator_request_duration_seconds_sum{route="mds.token"} 1.5
gcp_metadata_emulator_request_duration_seconds_count{route="mds.token"} 3
gcp_metadata_emulator_request_duration_seconds_sum{route="unknown"} 0
gcp_metadata_emulator_request_duration_seconds_count{route="unknown"} 2
# HELP gcp_metadata_emulator_faults_total Requests that met a fault.
# TYPE gcp_metadata_emulator_faults_total counter
gcp_metadata_emulator_faults_total{route="mds.token"} 1
# HELP answer With a "quote".
# TYPE answer gauge
answer 1e+09
# HELP escaped 
# TYPE escaped gauge
escaped{a="\"\\\n",b=""} 0.5
`
	if diff := cmp.Diff(want, metrics.Text(families)); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	requests := metrics.NewRequests([]string{"mds.ping"})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				requests.Observe("mds.ping", 200, time.Nanosecond)
				requests.ObserveFault("mds.ping")
				_ = requests.Families()
			}
		})
	}
	all.Wait()
	if got := requests.Families()[0].Samples[0].Value; got != 800 {
		t.Errorf("counted %v, want 800", got)
	}
}
