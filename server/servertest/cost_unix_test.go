//go:build unix

package servertest_test

import (
	"crypto/rand"
	"crypto/rsa"
	"syscall"
	"testing"
	"time"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/servertest"
)

// Starting an emulator costs less CPU time than generating a key, although it needs two, because emulators
// share keys.
func TestStartIsCheap(t *testing.T) { //nolint:paralleltest // measures the CPU time of the process
	const emulators, made = 50, 4
	begun := cpu(t)
	for range emulators {
		test := &exampleT{TB: t}
		servertest.New(test)
		test.end()
	}
	one := (cpu(t) - begun) / emulators
	begun = cpu(t)
	for range made {
		if _, err := rsa.GenerateKey(rand.Reader, keys.Bits); err != nil {
			t.Fatal(err)
		}
	}
	key := (cpu(t) - begun) / made
	t.Logf("an emulator costs %v, and a key %v", one, key)
	if one > key {
		t.Error("an emulator costs more than a key")
	}
}

// cpu returns the CPU time that the process has used. Unlike time, it does not depend on what else the
// machine does.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
