//go:build unix

package keys

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// victimVariable makes the test binary play an emulator that writes keys to this directory until
// somebody kills it.
const victimVariable = "TEST_KEYS_VICTIM"

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimVariable); dir != "" {
		play(dir)
	}
	os.Exit(m.Run())
}

// play makes and rotates keys, and prints what it has told its users.
func play(dir string) {
	ring := NewRing(dir, time.Now)
	supplyFrom(ring, filepath.Join(filepath.Dir(dir), "stock"))
	fail := func(err error) {
		if err != nil {
			fmt.Println("error", err) // which the test does not expect
			os.Exit(1)
		}
	}
	fail(ring.Load())
	secret, err := ring.Secret()
	fail(err)
	fmt.Println("secret", hex.EncodeToString(secret))
	for {
		published, err := ring.Google().Published(context.Background())
		fail(err)
		for _, key := range published {
			fmt.Println("key", key.ID())
		}
		id := ring.KeepContent([]byte(published[0].ID()))
		fmt.Println("content", hex.EncodeToString(id[:]))
		account, err := ring.System(published[0].ID() + "@b.c").Active(context.Background())
		fail(err)
		fmt.Println("key", account.ID(), published[0].ID()+"@b.c")
		fail(ring.Google().Rotate(context.Background(), KeepAll))
	}
}

// supplyFrom makes a ring take its private keys from a file, over and over.
func supplyFrom(ring *Ring, file string) {
	content, err := os.ReadFile(file)
	if err != nil {
		panic(err)
	}
	key, err := ring.pool.decode(content)
	ring.pool.generate = func() (private, error) { return key.private, err }
	ring.pool.workers = 1
}

// A process that is killed at any moment has lost nothing that it has told its users, and leaves
// nothing that the next process cannot use.
func TestKilled(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	dir := filepath.Join(root, "state")
	first, err := NewRing("", time.Now).User("a@b.c", "1").Active(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := first.encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "stock"), encoded, 0o600); err != nil {
		t.Fatal(err)
	}
	rounds := 8
	if os.Getenv("GCP_METADATA_EMULATOR_LONG_TRIALS") != "" {
		rounds = 400
	}
	told, litter := map[string]string{}, 0
	for range rounds {
		for _, line := range killed(t, dir) {
			fields := strings.Fields(line)
			if len(fields) < 2 || fields[0] == "error" {
				t.Fatalf("the process says %q", line)
			}
			told[strings.Join(fields[1:], " ")] = fields[0]
		}
		left, err := filepath.Glob(filepath.Join(dir, ".unfinished", ".new-*"))
		if err != nil {
			t.Fatal(err)
		}
		litter += len(left)
		checkTold(t, dir, told)
	}
	t.Logf("%d kills, %d facts told, %d unfinished files removed", rounds, len(told), litter)
}

// killed runs a process, kills it while it is working, and returns the whole lines that it has printed.
func killed(t *testing.T, dir string) []string {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), victimVariable+"="+dir)
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	last := 1 + rand.IntN(20) // lines until the kill, which comes a random moment later
	reader := bufio.NewReader(out)
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			break
		}
		lines = append(lines, strings.TrimSpace(line))
		if len(lines) == last || strings.HasPrefix(line, "error") {
			time.AfterFunc(time.Duration(rand.IntN(5000))*time.Microsecond, func() { _ = command.Process.Kill() })
		}
	}
	_ = command.Wait() // it was killed
	return lines
}

// checkTold checks that a new ring knows everything that users were told of.
func checkTold(t *testing.T, dir string, told map[string]string) {
	t.Helper()
	ring := NewRing(dir, time.Now)
	if err := ring.Load(); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".unfinished", "*")); len(left) > 0 {
		t.Errorf("%q remain after a start", left)
	}
	var ids []string
	for _, key := range ring.Google().all() {
		ids = append(ids, key.ID())
	}
	for fact, kind := range told {
		id, account, _ := strings.Cut(fact, " ")
		switch {
		case kind == "secret":
			if secret, err := ring.Secret(); err != nil || hex.EncodeToString(secret) != id {
				t.Fatalf("the secret has changed: %v", err)
			}
		case kind == "content":
			var asked ContentID
			_, _ = hex.Decode(asked[:], []byte(id))
			if _, ok, err := ring.KeptContent(asked); !ok || err != nil {
				t.Fatalf("content %s is lost: %v", id, err)
			}
		case account != "":
			if known, err := ring.System(account).Known(); err != nil || len(known) != 1 || known[0].ID() != id {
				t.Fatalf("the key of %s is lost: %d keys, %v", account, len(known), err)
			}
		case !slices.Contains(ids, id):
			t.Fatalf("key %s is lost", id)
		}
	}
}
