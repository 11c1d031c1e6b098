package cli

import (
	"runtime"
	"testing"
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
