// Package worldtest makes worlds of fixtures, and keys, for the tests of other packages.
//
// It does not start an emulator: package emulatortest does that for the repository's own tests, and
// package servertest for the tests of users.
package worldtest

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/world"
)

// Parse makes a world of a fixture that names no file.
func Parse(t testing.TB, yaml string) *world.World {
	t.Helper()
	return ParseIn(t, t.TempDir(), yaml)
}

// ParseIn makes a world of a fixture that names files in the given directory.
func ParseIn(t testing.TB, dir, yaml string) *world.World {
	t.Helper()
	fixture, err := fixtures.Parse("f.yaml", []byte(yaml), dir)
	if err != nil {
		t.Fatal(err)
	}
	return checked(t, fixture)
}

// Load makes a world of the given files.
func Load(t testing.TB, files fixtures.Files) *world.World {
	t.Helper()
	fixture, _, err := files.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return checked(t, fixture)
}

func checked(t testing.TB, fixture *fixtures.Fixture) *world.World {
	t.Helper()
	w, err := world.Checked(fixture)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// Testdata returns the path of a file in server/testdata, for tests of any package.
func Testdata(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		path := filepath.Join(dir, "server", "testdata", name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatalf("there is no server/testdata/%s above the test's directory", name)
		}
		dir = parent
	}
}

// privateKeys are shared by all rings of a test process, because generating a private key takes a
// tenth of a second.
var privateKeys = sync.OnceValue(keys.NewStock) //nolint:gochecknoglobals // the tests of a process have nothing else in common to keep them in

// Ring makes a ring that shares its private keys with the other rings of the process, but has its
// own key IDs and certificates. If a test needs an unknown key, use keys.NewRing.
func Ring(now func() time.Time) *keys.Ring { return privateKeys().NewRing(now) }
