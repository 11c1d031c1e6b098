//go:build unix

package door_test

import (
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"syscall"
	"testing"
	"time"

	"gcp-metadata-emulator/server/door"
)

// BenchmarkProxies compares the door with a bare proxy of net/http/httputil that has the same
// transport. The CPU time is that of the client, the proxy and the upstream together.
func BenchmarkProxies(b *testing.B) {
	upstream := serve(b, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	to, err := url.Parse(upstream.URL)
	if err != nil {
		b.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}
	b.Cleanup(transport.CloseIdleConnections)
	bare := serve(b, &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }, Transport: transport})
	r := startAt(b, `upstream: "`+upstream.URL+`"`, door.Config{})
	r.keepNothing()
	bearer := "Bearer " + r.id(b, "https://orders-123456789012.us-central1.run.app")
	b.Run("bare", func(b *testing.B) { load(b, bare.URL, bearer) })
	b.Run("door", func(b *testing.B) { load(b, r.URL, bearer) })
}

// load sends requests, and reports the CPU time that each takes.
func load(b *testing.B, address, bearer string) {
	b.Helper()
	client := &http.Transport{MaxIdleConnsPerHost: 64}
	defer client.CloseIdleConnections()
	before := cpu(b)
	b.ResetTimer()
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, address, nil)
			if err != nil {
				b.Error(err)
				return
			}
			request.Header.Set("Authorization", bearer)
			answer, err := client.RoundTrip(request)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, answer.Body)
			_ = answer.Body.Close()
			if answer.StatusCode != http.StatusOK {
				b.Errorf("status %d", answer.StatusCode)
				return
			}
		}
	})
	b.StopTimer()
	b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

// cpu is the CPU time that the process has used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
