// Package background keeps track of the emulators that run without a terminal: it starts them, finds
// them by their URLs, ends them, and keeps and follows their logs.
//
// Each run has three files in a private directory: a lock, a log, and a record. The emulator holds
// the lock until its process has ended, and writes the record when it is ready. The lock proves that
// the process in the record is still this emulator. If another process gets the same ID later, it is
// therefore never ended. The package does not know what an emulator does, and does not choose
// directories.
package background

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gcp-metadata-emulator/server/order"
)

// Run describes an emulator in the background.
type Run struct {
	Process int       `json:"process"`
	URL     string    `json:"url"`
	Control string    `json:"control,omitempty"` // of the control plane; empty: same as URL
	Output  string    `json:"output,omitempty"`  // the standard output of the start
	Started time.Time `json:"started"`

	files Files
}

// Files is the path that the names of a run's files begin with.
type Files string

// The ends of the names.
const (
	lockSuffix    = ".lock"
	logSuffix     = ".log"
	olderSuffix   = ".log.1"
	recordSuffix  = ".json"
	partialSuffix = ".new"
	startSuffix   = ".start" // held by the process that starts the run
)

// Log returns the path of the log.
func (f Files) Log() string { return string(f) + logSuffix }

// Older returns the path of the older half of a log that had become too long.
func (f Files) Older() string { return string(f) + olderSuffix }

// IsReady reports whether the emulator has written its record.
func (f Files) IsReady() bool {
	_, err := os.Stat(string(f) + recordSuffix)
	return err == nil
}

// Remove removes all files of a run.
func (f Files) Remove() {
	for _, suffix := range []string{partialSuffix, recordSuffix, logSuffix, olderSuffix, lockSuffix, startSuffix} {
		_ = os.Remove(string(f) + suffix) // some are missing
	}
}

// New makes the lock and the log of a run before it starts, in a directory that only the present user
// can change. It removes the files of old runs there. Until started is called, the files count as in
// use even if the run does not hold its lock yet.
func New(dir, id string) (files Files, started func(), err error) {
	const privateFolder = 0o700
	if err := os.MkdirAll(dir, privateFolder); err != nil {
		return "", nil, err
	}
	if !isPrivate(dir) {
		return "", nil, fmt.Errorf("%q belongs to another user, or others can change it", dir)
	}
	prune(dir)
	files = Files(filepath.Join(dir, id))
	start := string(files) + startSuffix
	if err := makeEmpty(start); err != nil {
		return "", nil, err
	}
	held, err := hold(start)
	if err != nil {
		return "", nil, err
	}
	started = func() {
		_ = held.Close() // nothing was written
		_ = os.Remove(start)
	}
	for _, suffix := range []string{lockSuffix, logSuffix} {
		if err := makeEmpty(string(files) + suffix); err != nil {
			started()
			return "", nil, err
		}
	}
	return files, started, nil
}

func makeEmpty(path string) error {
	const private = 0o600
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, private)
	if err != nil {
		return err
	}
	return file.Close()
}

// Hold takes the lock of the present process's run, until the result is closed or the process ends.
// The caller must keep the result, because the garbage collector closes files that nobody refers to.
func Hold(files Files) (io.Closer, error) { return hold(string(files) + lockSuffix) }

// Publish writes the record of the present process's run.
func Publish(files Files, run Run) error {
	encoded, err := json.Marshal(run)
	if err != nil {
		return fmt.Errorf("encode the record of the run: %w", err)
	}
	const private = 0o600
	if err := os.WriteFile(string(files)+partialSuffix, encoded, private); err != nil {
		return err
	}
	return os.Rename(string(files)+partialSuffix, string(files)+recordSuffix)
}

// Read returns the run of some files.
func Read(files Files) (Run, error) {
	content, err := os.ReadFile(string(files) + recordSuffix)
	if err != nil {
		return Run{}, err
	}
	run := Run{files: files}
	if err := json.Unmarshal(content, &run); err != nil {
		return Run{}, fmt.Errorf("read the record %q: %w", string(files)+recordSuffix, err)
	}
	return run, nil
}

// All returns the runs in some directories that have become ready, the oldest first. It skips
// directories that other users can change, and unreadable records.
func All(dirs ...string) []Run {
	var all []Run
	for _, dir := range dirs {
		if !isPrivate(dir) {
			continue
		}
		for _, files := range listed(dir, lockSuffix) {
			if run, err := Read(files); err == nil {
				all = append(all, run)
			}
		}
	}
	order.SortStable(all, func(a, b Run) int { return a.Started.Compare(b.Started) })
	return all
}

// listed returns the runs that have a file with this suffix in a directory.
func listed(dir, suffix string) []Files {
	entries, _ := os.ReadDir(dir) // a missing directory has none
	var found []Files
	for _, entry := range entries {
		if name, ok := strings.CutSuffix(entry.Name(), suffix); ok && entry.Type().IsRegular() {
			found = append(found, Files(filepath.Join(dir, name)))
		}
	}
	return found
}

// keptRuns is the number of ended runs with logs.
const keptRuns = 5

// prune removes the files of all ended runs except the latest, and of runs that were killed before
// they were ready.
func prune(dir string) {
	for _, files := range slices.Concat(listed(dir, lockSuffix), listed(dir, startSuffix)) {
		if !files.IsReady() && !isHeld(string(files)+startSuffix) && !isHeld(string(files)+lockSuffix) {
			files.Remove()
		}
	}
	ended := slices.DeleteFunc(All(dir), Run.IsRunning)
	for _, run := range ended[:max(0, len(ended)-keptRuns)] {
		run.files.Remove()
	}
}

// Files returns the files of a run.
func (r Run) Files() Files { return r.files }

// IsRunning reports whether the emulator's process has not ended.
func (r Run) IsRunning() bool { return isHeld(string(r.files) + lockSuffix) }

// ErrEnded means that the emulator's process has ended already.
var ErrEnded = errors.New("the emulator has ended already")

// Stop asks the emulator to end, and waits until its process has ended or ctx ends.
func (r Run) Stop(ctx context.Context) error {
	// If the lock is held now, its holder was alive when FindProcess looked up the process, so this
	// is the holder.
	process, err := os.FindProcess(r.Process)
	if err != nil || !r.IsRunning() {
		return ErrEnded
	}
	defer func() { _ = process.Release() }() // nothing is left to do with it
	if err := end(process); err != nil {
		if !r.IsRunning() {
			return ErrEnded
		}
		return fmt.Errorf("end process %d: %w", r.Process, err)
	}
	return r.Await(ctx)
}

// pause is the time between two looks at a file.
const pause = 50 * time.Millisecond

// Await waits until the emulator's process has ended or ctx ends.
func (r Run) Await(ctx context.Context) error {
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for r.IsRunning() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// isMissing reports whether err says that a file does not exist.
func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
