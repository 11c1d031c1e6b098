package load_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"gcp-metadata-emulator/scripts/benchmark/load"
)

func TestRunSendsEachNumberOnce(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]int{}
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen[r.URL.Path]++
		_, _ = io.WriteString(w, "hello")
	})
	template := load.Request{Method: "GET", Target: "/{n}"}.Compile(addr)
	limits := load.Limits{Connections: 4, Duration: time.Minute, Requests: 500}
	result, err := load.Run(t.Context(), addr, template, limits)
	if err != nil {
		t.Fatal(err)
	}
	if got := result.Latencies.Count(); got != 500 || len(seen) != 500 {
		t.Errorf("got %d answers to %d different requests", got, len(seen))
	}
	if result.Rate() <= 0 || result.Elapsed <= 0 {
		t.Errorf("got %v per second in %v", result.Rate(), result.Elapsed)
	}
}

func TestRunEndsInTime(t *testing.T) {
	addr := serve(t, func(http.ResponseWriter, *http.Request) {})
	template := load.Request{Method: "GET", Target: "/"}.Compile(addr)
	limits := load.Limits{Connections: 2, Duration: 20 * time.Millisecond, Requests: 1 << 40}
	result, err := load.Run(t.Context(), addr, template, limits)
	if err != nil {
		t.Fatal(err)
	}
	if result.Latencies.Count() == 0 || result.Elapsed < limits.Duration {
		t.Errorf("got %d answers in %v", result.Latencies.Count(), result.Elapsed)
	}
}

func TestRunStopsAtRefusal(t *testing.T) {
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/000000000100" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	template := load.Request{Method: "GET", Target: "/{n}"}.Compile(addr)
	limits := load.Limits{Connections: 4, Duration: time.Minute, Requests: 1 << 40}
	_, err := load.Run(t.Context(), addr, template, limits)
	var status *load.StatusError
	if !errors.As(err, &status) || status.Status != http.StatusServiceUnavailable {
		t.Errorf("got %v", err)
	}
}

func TestRunStopsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	addr := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done() // the answer never comes
	})
	template := load.Request{Method: "GET", Target: "/"}.Compile(addr)
	limits := load.Limits{Connections: 2, Duration: time.Minute, Requests: 1 << 40}
	if _, err := load.Run(ctx, addr, template, limits); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestOnce(t *testing.T) {
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/odd")
		if r.URL.Path == "/bad" {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, "hello")
	})
	answer, err := load.Once(t.Context(), addr, load.Request{Method: "GET", Target: "/"}.Compile(addr))
	if err != nil || string(answer.Body) != "hello" || answer.Header.Get("Content-Type") != "text/odd" {
		t.Errorf("got %+v, %v", answer, err)
	}
	_, err = load.Once(t.Context(), addr, load.Request{Method: "GET", Target: "/bad"}.Compile(addr))
	var status *load.StatusError
	if !errors.As(err, &status) || status.Status != http.StatusNotFound || status.Body != "hello" {
		t.Errorf("got %v", err)
	}
}

func TestAwait(t *testing.T) {
	addr := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello")
	})
	before := load.Now()
	at, err := load.Await(t.Context(), addr, load.Request{Method: "GET", Target: "/"}.Compile(addr))
	if err != nil || at.Before(before) || at.After(load.Now()) {
		t.Errorf("got %v, %v", at, err)
	}
}

func TestAwaitStopsWithContext(t *testing.T) {
	const addr = "127.0.0.1:1" // nothing listens there
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, errGone)
	defer cancel()
	_, err := load.Await(ctx, addr, load.Request{Method: "GET", Target: "/"}.Compile(addr))
	if !errors.Is(err, errGone) {
		t.Errorf("got %v", err)
	}
}

var errGone = errors.New("gone")

// serve starts a server and returns its address.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.Listener.Addr().String()
}
