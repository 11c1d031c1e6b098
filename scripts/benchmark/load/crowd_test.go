package load_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"

	"gcp-metadata-emulator/scripts/benchmark/load"
)

func TestCrowdIsAnsweredTogether(t *testing.T) {
	const size = 20
	var all sync.WaitGroup
	all.Add(size)
	addr := serve(t, func(http.ResponseWriter, *http.Request) {
		all.Done()
		all.Wait() // nobody is answered before everybody has asked
	})
	crowd, err := load.Gather(t.Context(), addr, size)
	if err != nil {
		t.Fatal(err)
	}
	defer crowd.Close()
	for range 2 {
		if err := crowd.Send(load.Request{Method: "GET", Target: "/"}.Compile(addr)); err != nil {
			t.Fatal(err)
		}
		if err := crowd.Receive(); err != nil {
			t.Fatal(err)
		}
		all.Add(size)
	}
}

func TestCrowdIsRefused(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	addr := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	crowd, err := load.Gather(ctx, addr, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer crowd.Close()
	template := load.Request{Method: "GET", Target: "/"}.Compile(addr)
	if err := crowd.Send(template); err != nil {
		t.Fatal(err)
	}
	var status *load.StatusError
	if err := crowd.Receive(); !errors.As(err, &status) || status.Status != http.StatusTeapot {
		t.Errorf("got %v, want 418", err)
	}
	cancel()
	if _, err := load.Gather(ctx, addr, 2); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the cancellation", err)
	}
}
