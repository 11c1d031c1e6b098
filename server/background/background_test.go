package background_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gcp-metadata-emulator/server/background"
)

// variable makes the test binary play an emulator in the background with these files.
const variable = "TEST_BACKGROUND_FILES"

func TestMain(m *testing.M) {
	if files := os.Getenv(variable); files != "" {
		os.Exit(play(background.Files(files)))
	}
	os.Exit(m.Run())
}

// play holds the lock, publishes a run and waits until somebody ends the process.
func play(files background.Files) int {
	if os.Getenv("TEST_BACKGROUND_FAILS") != "" {
		fmt.Fprintln(os.Stderr, "it fails")
		return 7
	}
	lock, err := background.Hold(files)
	if err != nil {
		panic(err)
	}
	defer lock.Close()
	if os.Getenv("TEST_BACKGROUND_HANGS") == "" {
		if err := background.Publish(files, background.Run{Process: os.Getpid(), URL: "http://127.0.0.1:1", Started: time.Now()}); err != nil {
			panic(err)
		}
	}
	<-time.After(time.Minute) // in case nobody ends it
	return 0
}

func newFiles(t *testing.T, id string) background.Files {
	t.Helper()
	files, started, err := background.New(filepath.Join(t.TempDir(), "runs"), id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(started)
	return files
}

func command(files background.Files, more ...string) *exec.Cmd {
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), append(more, variable+"="+string(files))...)
	return command
}

func start(t *testing.T) background.Run {
	t.Helper()
	files := newFiles(t, "run")
	run, err := background.Start(t.Context(), command(files), files)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = run.Stop(context.Background()) })
	return run
}

func TestStop(t *testing.T) {
	t.Parallel()
	run := start(t)
	found := background.All(filepath.Dir(run.Files().Log()))
	if len(found) != 1 || found[0].Process != run.Process || !found[0].IsRunning() {
		t.Fatalf("found %+v", found)
	}
	if err := found[0].Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if found[0].IsRunning() {
		t.Error("the emulator runs after Stop")
	}
	if err := found[0].Stop(t.Context()); !errors.Is(err, background.ErrEnded) {
		t.Errorf("Stop of an ended emulator: %v", err)
	}
}

// A process that has the ID of an emulator that has ended is left alone.
func TestStopSparesOtherProcesses(t *testing.T) {
	t.Parallel()
	files := newFiles(t, "ended")
	if err := background.Publish(files, background.Run{Process: os.Getpid()}); err != nil {
		t.Fatal(err)
	}
	run, err := background.Read(files)
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Stop(t.Context()); !errors.Is(err, background.ErrEnded) { // SIGTERM would end this test
		t.Errorf("got %v", err)
	}
}

func TestStartThatFails(t *testing.T) {
	t.Parallel()
	files := newFiles(t, "failing")
	_, err := background.Start(t.Context(), command(files, "TEST_BACKGROUND_FAILS=1"), files)
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !errors.Is(err, background.ErrNotReady) || !ok || exit.ExitCode() != 7 {
		t.Errorf("got %v", err)
	}
	var log strings.Builder
	if err := background.CopyLog(&log, files); err != nil || log.String() != "it fails\n" {
		t.Errorf("the log is %q, %v", log.String(), err)
	}
}

// If the caller gives up, the process does not stay.
func TestStartThatIsInterrupted(t *testing.T) {
	t.Parallel()
	files := newFiles(t, "hanging")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	hanging := command(files, "TEST_BACKGROUND_HANGS=1")
	if _, err := background.Start(ctx, hanging, files); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if hanging.ProcessState == nil {
		t.Error("the process has not been waited for")
	}
}

// The logs of the latest runs stay.
func TestOldRunsArePruned(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "runs")
	begun := time.Now()
	for i := range 10 {
		files, started, err := background.New(dir, strconv.Itoa(i))
		if err != nil {
			t.Fatal(err)
		}
		defer started()
		if err := background.Publish(files, background.Run{URL: strconv.Itoa(i), Started: begun.Add(time.Duration(i) * time.Second)}); err != nil {
			t.Fatal(err)
		}
	}
	var urls []string
	for _, run := range background.All(dir) {
		urls = append(urls, run.URL)
	}
	if got := strings.Join(urls, " "); got != "4 5 6 7 8 9" {
		t.Errorf("the runs are %s", got)
	}
	if logs, err := filepath.Glob(filepath.Join(dir, "*.log")); err != nil || len(logs) != len(urls) {
		t.Errorf("the logs are %s, %v", logs, err)
	}
}

// Runs that were killed early, with the process that started them, leave nothing for long. A run that
// is starting stays.
func TestKilledEarly(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "runs")
	starting := func(id string) (background.Files, func()) {
		t.Helper()
		files, started, err := background.New(dir, id)
		if err != nil {
			t.Fatal(err)
		}
		return files, started
	}
	_, started := starting("slow")
	_, end := starting("killed")
	end() // a killed process does not hold its lock any more either
	if err := os.WriteFile(filepath.Join(dir, "killed sooner.start"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	files, heldNow := starting("holding")
	lock, err := background.Hold(files)
	if err != nil {
		t.Fatal(err)
	}
	heldNow()
	_, last := starting("last")
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		names[i] = filepath.Base(name)
	}
	want := "holding.lock holding.log last.lock last.log last.start slow.lock slow.log slow.start"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("there are %s, want %s", got, want)
	}
	last()
	started()
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
}

// Records that another user can write are not believed.
func TestForeignDirectories(t *testing.T) {
	t.Parallel()
	files := newFiles(t, "run")
	dir := filepath.Dir(files.Log())
	if err := background.Publish(files, background.Run{Process: 1}); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if found := background.All(dir); len(found) > 0 {
		t.Errorf("found %+v", found)
	}
	if _, _, err := background.New(dir, "other"); err == nil {
		t.Error("a run begins in a directory that others can change")
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := errors.Join(os.Chmod(dir, 0o700), os.Symlink(dir, link)); err != nil {
		t.Fatal(err)
	}
	if found := background.All(link); len(found) > 0 {
		t.Errorf("found %+v", found)
	}
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu      sync.Mutex
	content bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.content.Write(p)
}

func (b *buffer) await(t *testing.T, text string) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for {
		b.mu.Lock()
		got := b.content.String()
		b.mu.Unlock()
		if got == text {
			return
		}
		select {
		case <-ticker.C:
		case <-t.Context().Done():
			t.Fatalf("got %q, want %q", got, text)
		}
	}
}

// Following goes on when the log is cut, replaced or removed, and ends with the emulator.
func TestFollowLog(t *testing.T) {
	t.Parallel()
	run := start(t)
	log := run.Files().Log()
	appended := func(text string) {
		t.Helper()
		file, err := os.OpenFile(log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.WriteString(file, text)
		if err := errors.Join(err, file.Close()); err != nil {
			t.Fatal(err)
		}
	}
	var got buffer
	ended := make(chan error, 1)
	appended("1")
	go func() { ended <- background.FollowLog(t.Context(), &got, run) }()
	got.await(t, "1")
	appended("2\n")
	got.await(t, "12\n")
	if err := os.Truncate(log, 0); err != nil {
		t.Fatal(err)
	}
	appended("3")
	got.await(t, "12\n3")
	if err := os.Rename(log, log+".rotated"); err != nil {
		t.Fatal(err)
	}
	appended("4444")
	got.await(t, "12\n34444")
	if err := os.Remove(log); err != nil {
		t.Fatal(err)
	}
	appended("5")
	got.await(t, "12\n344445")
	if err := run.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A long log loses its older half, and never more.
func TestLogIsBounded(t *testing.T) {
	t.Parallel()
	files := newFiles(t, "long")
	out, err := os.OpenFile(files.Log(), os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	const most = 1000
	log := background.NewLogOf(files, out, most)
	for i := range 100 {
		if _, err := fmt.Fprintf(log, "line %02d, and something to fill it\n", i); err != nil {
			t.Fatal(err)
		}
	}
	var kept strings.Builder
	if err := background.CopyLog(&kept, files); err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(strings.TrimSuffix(kept.String(), "\n"), "\n")
	for i, line := range lines {
		if want := fmt.Sprintf("line %02d", 100-len(lines)+i); !strings.HasPrefix(line, want) {
			t.Fatalf("line %d is %q, want %q", i, line, want)
		}
	}
	if len(kept.String()) > 2*most || len(kept.String()) < most {
		t.Errorf("%d bytes are kept", len(kept.String()))
	}
}
