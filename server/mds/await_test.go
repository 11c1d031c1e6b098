package mds_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gcp-metadata-emulator/server/mds"
	"gcp-metadata-emulator/server/wire"
)

// AwaitWaiter finds a request that waits already, and a request that comes later.
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
			t.Fatal("AwaitWaiter accepted the wrong waiter")
		}
		waiting(t, rig.get(t, other, "instance/tags"+wait))
		for range 2 {
			if err := <-awaited; err != nil {
				t.Error(err)
			}
		}
		if err := rig.AwaitWaiter(t.Context(), isFor("instance/attributes/a")); err != nil {
			t.Errorf("with a request that waits already: %v", err)
		}
		cancel()

		late, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		if err := rig.AwaitWaiter(late, isFor("instance/zone")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without waiting requests: %v", err)
		}
	})
}

// Between two changes with Settle, every waiting request looks. No request misses a value that
// soon changes back.
func TestSettle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rig := newRig(t)
		rig.Settle() // nobody waits
		var concerned, others []<-chan wire.Response
		for range 100 {
			concerned = append(concerned, rig.get(t, t.Context(), "instance/attributes/a"+wait))
			others = append(others, rig.get(t, t.Context(), "instance/tags"+wait+"&timeout_sec=60"))
		}
		waiting(t, concerned[0])
		for _, value := range []string{"2", "1"} {
			rig.set(t, "demo-vm", "instance/attributes/a", value)
			rig.Settle()
		}
		for _, answered := range concerned {
			if got := answer(t, answered); got.Body != "2" {
				t.Fatalf("answered with %q, want the value in between", got.Body)
			}
		}
		rig.Settle() // whoever has looked already is not waited for
		for _, answered := range others {
			waiting(t, answered)
		}
		time.Sleep(time.Minute)
		rig.Settle() // while they leave
	})
}
