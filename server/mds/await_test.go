package mds_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gcp-metadata-emulator/server/mds"
)

// Whoever awaits a waiter is told of one that waits already, and of one that comes later.
func TestAwaitWaiter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rig := newRig(t)
		isFor := func(name string) func(mds.Waiter) bool {
			return func(w mds.Waiter) bool { return strings.HasPrefix(w.Path, "/computeMetadata/v1/"+name+"?") }
		}
		awaited := make(chan error, 2)
		for range 2 {
			go func() { awaited <- rig.AwaitWaiter(t.Context(), isFor("instance/tags")) }()
		}
		other, cancel := context.WithCancel(t.Context())
		waiting(t, rig.get(t, other, "instance/attributes/a"+wait))
		if len(awaited) > 0 {
			t.Fatal("another waiter is taken for the one that is awaited")
		}
		waiting(t, rig.get(t, other, "instance/tags"+wait))
		for range 2 {
			if err := <-awaited; err != nil {
				t.Error(err)
			}
		}
		if err := rig.AwaitWaiter(t.Context(), isFor("instance/attributes/a")); err != nil {
			t.Errorf("of one that waits already: %v", err)
		}
		cancel()

		late, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		if err := rig.AwaitWaiter(late, isFor("instance/zone")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("of nobody: %v", err)
		}
	})
}
