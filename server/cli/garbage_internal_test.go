package cli

import (
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"time"
)

// This test is in package cli because no command exposes the collector.

func TestGarbageIsBounded(t *testing.T) {
	t.Parallel()
	for scanned, want := range map[uint64]int{0: gcPercent, 4 << 20: gcPercent, 16 << 20: 101, 160 << 20: 11, 16 << 30: 1} {
		if got := percentFor(scanned); got != want {
			t.Errorf("with %d bytes alive %d%% may be garbage, want %d%%", scanned, got, want)
		}
	}
}

func TestScanned(t *testing.T) {
	t.Parallel()
	with := scannedWith(make([]byte, 64<<20))
	if without := scannedWith(nil); with < without+32<<20 {
		t.Errorf("with 64 MiB more there are %d bytes, without them %d", with, without)
	}
}

func scannedWith(block []byte) uint64 {
	runtime.GC()
	defer runtime.KeepAlive(block)
	return scanned()
}

// The process gives memory back if there is more of it than after the last time.
func TestRelease(t *testing.T) {
	count := 0
	c := newCollector(time.Hour, func() {
		debug.FreeOSMemory()
		count++
	})
	var blocks [2][]byte // a process that has just begun has too little memory to give back
	for i, want := range []int{1, 1, 2, 2} {
		if i%2 == 0 {
			blocks[i/2] = make([]byte, 64<<20)
		}
		if c.release(); count != want {
			t.Errorf("after %d calls memory was given back %d times, want %d", i+1, count, want)
		}
	}
	runtime.KeepAlive(blocks)
}

// It does so when there has been no collection for a while.
func TestReleaseAfterLoad(t *testing.T) {
	released := make(chan struct{})
	newCollector(time.Nanosecond, sync.OnceFunc(func() { close(released) })).afterCollection()
	runtime.GC()
	<-released
}
