package main

// This test is in package main, as benchmark_internal_test.go is.

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gcp-metadata-emulator/fixtures"
	emulated "gcp-metadata-emulator/server/world"
)

// The emulator accepts every world of the table, and serves the requested entry.
func TestWorldsAreAccepted(t *testing.T) {
	t.Parallel()
	for _, s := range scales() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "world")
			const private = 0o600
			if err := os.WriteFile(file, []byte(s.file()), private); err != nil {
				t.Fatal(err)
			}
			files := fixtures.Files{Fixture: file}
			if s.flag == "--metadata" {
				files = fixtures.Files{Recording: file}
			}
			fixture, _, err := files.Load(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			w := emulated.New(fixture)
			if _, err := w.Metadata(w.DefaultInstance(), s.value); err != nil {
				t.Error(err)
			}
			if strings.HasPrefix(s.name, "100,000") {
				if all, err := w.Metadata(w.DefaultInstance(), "instance/attributes"); err != nil || len(all.(map[string]any)) != 100_000 {
					t.Errorf("the number of attributes differs from the row's: %v", err)
				}
			}
			if len(w.DefaultInstance().ServiceAccounts) != 1 {
				t.Error("the default instance has no account for its tokens")
			}
		})
	}
}
