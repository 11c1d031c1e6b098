package clock_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gcp-metadata-emulator/server/clock"
)

func date(year int) time.Time { return time.Date(year, time.May, 4, 3, 2, 1, 0, time.UTC) }

func TestClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := clock.New(time.Now)
		is := func(what string, want time.Time) {
			t.Helper()
			if got := c.Now(); !got.Equal(want) {
				t.Errorf("%s: Now = %v, want %v", what, got, want)
			}
		}
		is("new", time.Now())
		time.Sleep(time.Second)
		is("a second later", time.Now())

		if err := c.Set(date(2030)); err != nil || c.FollowsMachine() {
			t.Fatalf("Set = %v, follows the machine: %t", err, c.FollowsMachine())
		}
		time.Sleep(time.Second)
		is("set, a second ago", date(2030).Add(time.Second))

		c.Freeze()
		time.Sleep(time.Hour)
		is("frozen, an hour ago", date(2030).Add(time.Second))
		if err := c.Advance(time.Minute); err != nil || !c.Frozen() {
			t.Fatalf("Advance = %v, frozen: %t", err, c.Frozen())
		}
		is("advanced", date(2030).Add(time.Second+time.Minute))

		c.Run()
		time.Sleep(time.Second)
		is("running", date(2030).Add(2*time.Second+time.Minute))

		c.Reset()
		is("reset", time.Now())
		if c.Run(); !c.FollowsMachine() {
			t.Error("Run stopped a clock from following the machine")
		}
	})
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	c := clock.New(time.Now)
	c.Freeze()
	if err := c.Set(date(2030)); err != nil {
		t.Fatal(err)
	}
	for _, year := range []int{-1, 1969, 9999, 12000} {
		if err := c.Set(date(year)); !isRangeError(err) {
			t.Errorf("Set to %d = %v, want a RangeError", year, err)
		}
	}
	var backward *clock.BackwardError
	if err := c.Advance(-time.Second); !errors.As(err, &backward) {
		t.Errorf("Advance by a negative duration = %v", err)
	}
	if err := c.Set(date(9998)); err != nil {
		t.Error(err)
	}
	if err := c.Advance(365 * 24 * time.Hour); !isRangeError(err) {
		t.Errorf("Advance past the end = %v, want a RangeError", err)
	}
	if got := c.Now(); !got.Equal(date(9998)) {
		t.Errorf("Now = %v after refusals, want no change", got)
	}
}

func isRangeError(err error) bool {
	_, ok := errors.AsType[*clock.RangeError](err)
	return ok
}

// A setting takes effect as a whole, or not at all.
func TestPut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := clock.New(time.Now)
		put := func(now time.Time, frozen bool) error { return c.Put(clock.Setting{Now: &now, Frozen: &frozen}) }
		if err := put(date(1), true); !isRangeError(err) || c.Frozen() || !c.FollowsMachine() {
			t.Errorf("Put = %v; frozen: %t, follows the machine: %t", err, c.Frozen(), c.FollowsMachine())
		}
		if err := put(date(2030), true); err != nil || !c.Frozen() || !c.Now().Equal(date(2030)) {
			t.Errorf("Put = %v; Frozen = %t, Now = %v", err, c.Frozen(), c.Now())
		}
		time.Sleep(time.Hour)
		if err := put(date(9999), false); !isRangeError(err) || !c.Frozen() || !c.Now().Equal(date(2030)) {
			t.Errorf("Put = %v; Frozen = %t, Now = %v", err, c.Frozen(), c.Now())
		}
		if err := put(date(2031), false); err != nil || c.Frozen() || !c.Now().Equal(date(2031)) {
			t.Errorf("Put = %v; Frozen = %t, Now = %v", err, c.Frozen(), c.Now())
		}
		time.Sleep(time.Hour)
		if got := c.Now(); !got.Equal(date(2031).Add(time.Hour)) {
			t.Errorf("Now = %v", got)
		}
	})
}

// Steady measures the clock's elapsed time, however the clock is moved.
func TestSteady(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := clock.New(time.Now)
		begun := c.Steady()
		passed := func(what string, want time.Duration) {
			t.Helper()
			if got := c.Steady().Sub(begun); got != want {
				t.Errorf("%s: Steady advanced by %v, want %v", what, got, want)
			}
			if got := c.When(c.Steady().Add(time.Minute)); !got.Equal(c.Now().Add(time.Minute)) {
				t.Errorf("%s: When in a minute = %v, Now = %v", what, got, c.Now())
			}
		}
		move := func(by time.Duration) {
			t.Helper()
			if err := c.Set(c.Now().Add(by)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour)
		passed("following the machine", time.Hour)
		move(-24 * time.Hour)
		time.Sleep(time.Hour)
		passed("set back", 2*time.Hour)
		move(time.Hour)
		passed("set forward", 3*time.Hour)
		c.Freeze()
		time.Sleep(time.Hour)
		passed("frozen", 3*time.Hour)
		c.Reset() // ahead to the machine's time
		passed("reset", 3*time.Hour+24*time.Hour)
		move(24 * time.Hour)
		c.Reset()
		time.Sleep(time.Hour)
		passed("reset, back", 3*time.Hour+2*24*time.Hour+time.Hour)
	})
}

// A timeout passes after all calls that are due before it or by the same move.
func TestTimeoutsPassAfterCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := clock.New(time.Now)
		ctx, cancel := c.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var before []bool
		for _, after := range []time.Duration{0, time.Second, time.Minute} {
			c.At(c.Now().Add(after), func() { before = append(before, ctx.Err() == nil) })
		}
		if err := c.Advance(time.Hour); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(before, []bool{true, true, true}) || ctx.Err() == nil {
			t.Errorf("called before the timeout: %v, which has passed: %v", before, ctx.Err())
		}
	})
}

// ended reports whether a context has ended, after all goroutines have come to rest.
func ended(ctx context.Context) bool {
	synctest.Wait()
	return ctx.Err() != nil
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := clock.New(time.Now)
		ctx, cancel := c.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		time.Sleep(59 * time.Second)
		if ended(ctx) {
			t.Error("ends too early")
		}
		time.Sleep(time.Second)
		if !ended(ctx) || !errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			t.Errorf("after its time the cause is %v", context.Cause(ctx))
		}
	})
}

func TestAdvancingEndsTimeouts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, begun := clock.New(time.Now), time.Now()
		short, cancelShort := c.WithTimeout(t.Context(), time.Minute)
		defer cancelShort()
		long, cancelLong := c.WithTimeout(t.Context(), 2*time.Hour)
		defer cancelLong()
		if err := c.Advance(time.Hour); err != nil {
			t.Fatal(err)
		}
		if !ended(short) || ended(long) {
			t.Errorf("after an hour: the short one %v, the long one %v", short.Err(), long.Err())
		}
		if time.Since(begun) != 0 {
			t.Error("the test took real time")
		}
		time.Sleep(time.Hour)
		if !ended(long) {
			t.Error("the long timeout did not end while the clock ran")
		}
	})
}

func TestFrozenClockEndsNoTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := clock.New(time.Now)
		before, cancelBefore := c.WithTimeout(t.Context(), time.Minute)
		defer cancelBefore()
		c.Freeze()
		after, cancelAfter := c.WithTimeout(t.Context(), time.Minute)
		defer cancelAfter()
		time.Sleep(time.Hour)
		if ended(before) || ended(after) {
			t.Error("time passes while the clock stands")
		}
		c.Run()
		time.Sleep(time.Minute)
		if !ended(before) || !ended(after) {
			t.Error("no time passes when the clock runs again")
		}
	})
}

// Setting a clock back by years does not prolong timeouts by years.
func TestGoingBackPutsNothingOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := clock.New(time.Now)
		ctx, cancel := c.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		time.Sleep(30 * time.Second)
		if err := c.Set(date(1980)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(29 * time.Second)
		if ended(ctx) {
			t.Error("ends too early")
		}
		time.Sleep(time.Second)
		if !ended(ctx) {
			t.Error("does not end")
		}
	})
}

func TestCancelledTimeoutLeavesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := clock.New(time.Now)
		ctx, cancel := c.WithTimeout(t.Context(), time.Minute)
		cancel()
		cancel() // as often as one likes
		if !errors.Is(context.Cause(ctx), context.Canceled) {
			t.Errorf("cause is %v", context.Cause(ctx))
		}
		if err := c.Advance(time.Hour); err != nil {
			t.Fatal(err)
		}
	})
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	c := clock.New(time.Now)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				ctx, cancel := c.WithTimeout(t.Context(), time.Hour)
				_ = c.Advance(2 * time.Hour)
				<-ctx.Done()
				cancel()
				c.Freeze()
				_ = c.Now()
				c.Run()
			}
		})
	}
	all.Wait()
}

// Functions are called in the order of their moments, before the method that brings the moments
// returns.
func TestAt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := clock.New(time.Now)
		begun := c.Now()
		var called []string
		at := func(name string, after time.Duration) (stop func()) {
			return c.At(begun.Add(after), func() { called = append(called, name) })
		}
		is := func(what string, want ...string) {
			t.Helper()
			if !slices.Equal(called, want) {
				t.Errorf("%s: called %q, want %q", what, called, want)
			}
			called = nil
		}
		at("past", -time.Second)
		at("now", 0)
		is("at once", "past", "now")

		at("third", 3*time.Second)
		at("first", time.Second)
		stop := at("stopped", 2*time.Second)
		at("also third", 3*time.Second)
		at("last", time.Hour)
		stop()
		time.Sleep(time.Second)
		synctest.Wait()
		is("a second later", "first")
		if err := c.Advance(2 * time.Second); err != nil {
			t.Fatal(err)
		}
		is("advanced", "third", "also third")

		c.Freeze()
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		is("frozen")
		if err := c.Advance(time.Hour); err != nil {
			t.Fatal(err)
		}
		is("advanced while it stands", "last")

		c.Run()
		for range 100 {
			soon := c.Now().Add(time.Minute)
			c.At(soon, func() { called = append(called, "one") })
			c.At(soon, func() { called = append(called, "two") })
			time.Sleep(time.Minute)
			synctest.Wait()
			is("both at a moment", "one", "two")
		}
		c.Freeze()

		begun = c.Now()
		at("again", time.Hour)
		if err := c.Set(c.Now().Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
		for _, want := range [][]string{nil, {"again"}} {
			if err := c.Advance(time.Hour); err != nil {
				t.Fatal(err)
			}
			is("set back, and on by an hour", want...)
		}
	})
}

// Each function is called once, whatever moves of the clock happen meanwhile.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	c := clock.New(time.Now)
	var calls atomic.Int64
	var movers sync.WaitGroup
	for range 8 {
		movers.Go(func() {
			for i := range 50 {
				c.At(c.Now().Add(time.Duration(i)*time.Second), func() { calls.Add(1) })
				if err := c.Advance(time.Second); err != nil {
					t.Error(err)
				}
			}
		})
	}
	movers.Wait()
	if err := c.Advance(time.Hour); err != nil {
		t.Fatal(err)
	}
	if got := calls.Load(); got != 400 {
		t.Errorf("%d calls, want 400", got)
	}
}
