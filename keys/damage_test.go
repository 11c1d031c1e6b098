package keys_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/keys"
)

// longTrials is the variable that makes trials try everything instead of a sample.
const longTrials = "GCP_METADATA_EMULATOR_LONG_TRIALS"

// every returns the step between the cases that a trial tries: a prime in the suite, so that each
// kind of file is hit in different places.
func every(sample int) int {
	if os.Getenv(longTrials) != "" {
		return 1
	}
	return sample
}

// Whichever byte of a kept file is damaged: a ring either refuses the file by name, or has exactly
// what it had before. The file itself is left alone.
func TestDamagedBytes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	settle(t, newRing(t, dir, time.Now))
	counts := map[string]int{}
	damage(t, dir, counts)
	t.Logf("files of this version: %v", counts)
	if counts["refused"] == 0 {
		t.Error("nothing was refused")
	}
}

// The same holds for files of earlier versions, except for the 32 random bytes of token.secret, which
// nothing describes until the file has got a checksum.
func TestDamagedBytesOfEarlierVersions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	settle(t, newRing(t, dir, time.Now))
	if err := os.Remove(filepath.Join(dir, "keys", "google", "1.retired")); err != nil { // a time, likewise
		t.Fatal(err)
	}
	for _, path := range kept(t, dir) {
		if filepath.Base(path) != "token.secret" && !strings.HasSuffix(path, ".retired") {
			unseal(t, path)
		}
	}
	counts := map[string]int{}
	damage(t, dir, counts)
	t.Logf("files of earlier versions: %v", counts)
	if counts["refused"] == 0 {
		t.Error("nothing was refused")
	}
}

// damage damages one byte of one kept file at a time, and counts what happens.
func damage(t *testing.T, dir string, counts map[string]int) {
	t.Helper()
	files := map[string][]byte{}
	for _, path := range kept(t, dir) {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[path] = content
	}
	want := all(t, newRing(t, dir, time.Now))
	step, count := every(97), 0
	for path, content := range files {
		for at := range content {
			if count++; count%step != 0 {
				continue
			}
			damaged := append([]byte{}, content...)
			damaged[at] ^= 1 << (count / step % 8)
			restore(t, files) // the last look may have added a checksum
			if err := os.WriteFile(path, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			counts[checkDamage(t, dir, path, want)]++
			if left, err := os.ReadFile(path); err != nil || string(left) != string(damaged) && !strings.HasPrefix(string(left), "checksum: ") {
				t.Fatalf("%s was changed: %v", path, err)
			}
		}
	}
	restore(t, files)
}

func restore(t *testing.T, files map[string][]byte) {
	t.Helper()
	for path, content := range files {
		if present, err := os.ReadFile(path); err == nil && string(present) == string(content) {
			continue
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// checkDamage checks what a ring makes of a directory with one damaged file.
func checkDamage(t *testing.T, dir, path string, want map[string][]string) (what string) {
	t.Helper()
	var told troubles
	ring := told.of(newRing(t, dir, time.Now))
	if filepath.Base(filepath.Dir(path)) == "contents" {
		id := keep(t, newRing(t, "", time.Now), "content")
		content, ok, err := ring.KeptContent(id)
		switch {
		case err != nil || ok && string(content) != "content":
			t.Errorf("%s: got %q, %v", path, content, err)
		case ok:
			return "unchanged"
		}
		told.checkTold(t, path)
		return "refused"
	}
	got, err := look(ring)
	var fileError *keys.FileError
	switch {
	case err == nil:
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s was accepted with a damaged byte:\n%s", path, diff)
		}
		return "unchanged"
	case !errors.As(err, &fileError) || fileError.Path != path || fileError.Hint() == "":
		t.Fatalf("%s: %v; want an error that names the file and what to do", path, err)
	}
	return "refused"
}
