package metrics_test

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/metrics"
)

// own returns the lines of a text about the emulator, without those about buckets, Go and the process.
func own(t *testing.T, requests *metrics.Requests) string {
	t.Helper()
	text, err := requests.Text()
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	for line := range strings.Lines(text) {
		if strings.Contains(line, "gcp_metadata_emulator_") && !strings.Contains(line, "_bucket{") {
			lines.WriteString(line)
		}
	}
	return lines.String()
}

func TestText(t *testing.T) {
	t.Parallel()
	requests := metrics.NewRequests([]string{"mds.ping", "mds.token", "unknown"})
	requests.Observe("mds.token", 200, 250*time.Millisecond)
	requests.Observe("mds.token", 204, 250*time.Millisecond)
	requests.Observe("mds.token", 503, time.Second)
	requests.ObserveFault("mds.token")
	requests.ObserveFault("/some/path")
	requests.Observe("unknown", 0, 0)
	requests.Observe("unknown", 999, 0) // not a status
	requests.Observe("unknown", -1, 0)
	requests.Observe("/some/path", 200, 0)
	answer := 1.0
	requests.Gauge("answer", `With a \ and two lines
of help.`, func() float64 { return answer })
	answer = 1e9
	want := `# HELP gcp_metadata_emulator_answer With a \\ and two lines\nof help.
# TYPE gcp_metadata_emulator_answer gauge
gcp_metadata_emulator_answer 1e+09
# HELP gcp_metadata_emulator_faults_total Requests that met a fault.
# TYPE gcp_metadata_emulator_faults_total counter
gcp_metadata_emulator_faults_total{route="mds.token"} 1
# HELP gcp_metadata_emulator_request_duration_seconds Time until the answer was ready.
# TYPE gcp_metadata_emulator_request_duration_seconds histogram
gcp_metadata_emulator_request_duration_seconds_sum{route="mds.token",status="2xx"} 0.5
gcp_metadata_emulator_request_duration_seconds_count{route="mds.token",status="2xx"} 2
gcp_metadata_emulator_request_duration_seconds_sum{route="mds.token",status="5xx"} 1
gcp_metadata_emulator_request_duration_seconds_count{route="mds.token",status="5xx"} 1
gcp_metadata_emulator_request_duration_seconds_sum{route="unknown",status="5xx"} 0
gcp_metadata_emulator_request_duration_seconds_count{route="unknown",status="5xx"} 1
gcp_metadata_emulator_request_duration_seconds_sum{route="unknown",status="none"} 0
gcp_metadata_emulator_request_duration_seconds_count{route="unknown",status="none"} 2
# HELP gcp_metadata_emulator_requests_total Requests answered, by route and class of status.
# TYPE gcp_metadata_emulator_requests_total counter
gcp_metadata_emulator_requests_total{route="mds.token",status="2xx"} 2
gcp_metadata_emulator_requests_total{route="mds.token",status="5xx"} 1
gcp_metadata_emulator_requests_total{route="unknown",status="5xx"} 1
gcp_metadata_emulator_requests_total{route="unknown",status="none"} 2
`
	if diff := cmp.Diff(want, own(t, requests)); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
}

// A bucket counts the requests up to its bound, the bound included.
func TestBuckets(t *testing.T) {
	t.Parallel()
	requests := metrics.NewRequests([]string{"mds.ping"})
	for _, took := range []time.Duration{time.Microsecond, 250 * time.Microsecond, 251 * time.Microsecond, time.Minute, time.Hour} {
		requests.Observe("mds.ping", 200, took)
	}
	text, err := requests.Text()
	if err != nil {
		t.Fatal(err)
	}
	for bound, count := range map[string]string{"2.5e-05": "1", "0.0001": "1", "0.00025": "2", "0.0005": "3", "10": "3", "60": "4", "+Inf": "5"} {
		line := `gcp_metadata_emulator_request_duration_seconds_bucket{route="mds.ping",status="2xx",le="` + bound + `"} ` + count + "\n"
		if !strings.Contains(text, line) {
			t.Errorf("%s is missing in:\n%s", line, text)
		}
	}
}

// Every text describes the process, however many are written.
func TestProcess(t *testing.T) {
	t.Parallel()
	requests := metrics.NewRequests(nil)
	for range 2 {
		text, err := requests.Text()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"go_goroutines", "go_gc_duration_seconds_count", "go_memstats_heap_alloc_bytes", "go_info"} {
			if !strings.Contains(text, "\n"+name) {
				t.Errorf("%s is missing in:\n%s", name, text)
			}
		}
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
			}
			if _, err := requests.Text(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	got := own(t, requests)
	for _, line := range []string{
		`gcp_metadata_emulator_requests_total{route="mds.ping",status="2xx"} 800`,
		`gcp_metadata_emulator_request_duration_seconds_count{route="mds.ping",status="2xx"} 800`,
		`gcp_metadata_emulator_faults_total{route="mds.ping"} 800`,
	} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("%s is missing in:\n%s", line, got)
		}
	}
}

// The number of reasons is bounded, even if requests could choose them.
func TestReasonsAreBounded(t *testing.T) {
	t.Parallel()
	requests := metrics.NewRequests(nil)
	for i := range 1000 {
		requests.ObserveRefusal("reason-"+strconv.Itoa(i), "refused")
		requests.ObserveRefusal("reason-0", "audited")
	}
	text := own(t, requests)
	for _, line := range []string{
		`gcp_metadata_emulator_refusals_total{outcome="audited",reason="reason-0"} 1000`,
		`gcp_metadata_emulator_refusals_total{outcome="refused",reason="reason-99"} 1`,
		`gcp_metadata_emulator_refusals_total{outcome="refused",reason="other"} 900`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("%s is missing in:\n%s", line, text)
		}
	}
	if series := strings.Count(text, "refusals_total{"); series != 102 {
		t.Errorf("%d time series", series)
	}
}
