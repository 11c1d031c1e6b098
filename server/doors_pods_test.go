package server_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"

	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/world/worldtest"
)

// slow is a cluster with late news: the news of a pod come only while a request waits for them.
type slow struct {
	watched

	pod  netip.Addr
	asks atomic.Int64
}

func (s *slow) At(ctx context.Context, address netip.Addr) (string, *journal.Refusal) {
	s.asks.Add(1)
	if address != s.pod || ctx.Err() != nil {
		return "", &journal.Refusal{Code: reason.UnknownCaller, Reason: "no pod has the address " + address.String(), Hint: "wait"}
	}
	s.pods.Annotate("web/new", "")
	s.add("new.web", "web/new", address)
	return s.watched.At(ctx, address)
}

// On a watched cluster, only a request to a service with internal traffic asks for the pod that sent it, and
// waits for the news of a new pod. Every other request passes at once.
func TestDoorsAskForPods(t *testing.T) {
	t.Parallel()
	const pod, stranger = "10.4.0.5", "192.168.0.1"
	cluster := &slow{pod: netip.MustParseAddr(pod)}
	e := emulatortest.NewOf(t, emulatortest.Fixture(t), func(config *server.Config) {
		config.World = worldtest.Parse(t, `
instances:
  - {name: open, profile: cloud-run, ingress: {urls: ["http://open.example.com"], authentication: none}}
  - {name: guarded, profile: cloud-run, ingress: {urls: ["http://guarded.example.com"]}}
  - {name: closed, profile: cloud-run, ingress: {urls: ["http://closed.example.com"], traffic: internal, authentication: none}}
`)
		config.Pods, config.Workloads.Pods = &cluster.pods, cluster
	})
	for _, name := range []string{"open", "guarded", "closed"} {
		e.HandleService(name, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "come in") }))
	}
	for _, test := range []struct {
		service, from string
		status        int
		asks          int64
	}{
		{"open", stranger, http.StatusOK, 0},
		{"open", pod, http.StatusOK, 0},
		{"guarded", stranger, http.StatusForbidden, 0},
		{"closed", stranger, http.StatusNotFound, 1},
		{"closed", pod, http.StatusOK, 1},
	} {
		before := cluster.asks.Load()
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+test.service+".example.com/", http.NoBody)
		request.RemoteAddr = test.from + ":4711"
		recorder := httptest.NewRecorder()
		e.ServeHTTP(recorder, request)
		if asks := cluster.asks.Load() - before; recorder.Code != test.status || asks != test.asks {
			t.Errorf("%s from %s: status %d after %d questions for a pod; want %d after %d: %s",
				test.service, test.from, recorder.Code, asks, test.status, test.asks, recorder.Body)
		}
	}
}
