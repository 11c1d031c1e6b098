package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"gcp-metadata-emulator/scripts/benchmark/load"
)

// resident is a process's resident memory.
type resident struct {
	kib   int64
	known bool // false on systems other than Linux
}

// memory reads a process's resident memory.
func (p *process) memory() (resident, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if errors.Is(err, fs.ErrNotExist) {
		return resident{}, nil
	}
	if err != nil {
		return resident{}, err
	}
	return parseResident(status)
}

// parseResident reads the line "VmRSS:    23456 kB".
func parseResident(status []byte) (resident, error) {
	for line := range bytes.Lines(status) {
		fields := bytes.Fields(line)
		if len(fields) != 3 || string(fields[0]) != "VmRSS:" {
			continue
		}
		kib, err := strconv.ParseInt(string(fields[1]), 10, 64)
		return resident{kib: kib, known: err == nil}, err
	}
	return resident{}, errors.New("the process's status has no VmRSS")
}

func (r resident) String() string {
	if !r.known {
		return "not available"
	}
	return fmt.Sprintf("%.1f MiB", float64(r.kib)/1024)
}

// within returns "yes" if the memory is at most the given number of bytes, or else "no".
func (r resident) within(bytes int64) string {
	switch {
	case !r.known:
		return "not available"
	case r.kib<<10 > bytes:
		return "no"
	default:
		return "yes"
	}
}

// growth returns the growth since an earlier reading.
func (r resident) growth(before resident) string {
	if !r.known || !before.known {
		return "not available"
	}
	return fmt.Sprintf("%+.1f MiB", float64(r.kib-before.kib)/1024)
}

// idle reads the memory of an emulator that has just started, when it has given back what only the start
// needed: a second later.
func (b *bench) idle(ctx context.Context, emulator *process) (resident, error) {
	const enough = 3 * time.Second
	if !b.only.MatchString("memory") {
		return resident{}, nil
	}
	select {
	case <-time.After(min(b.rest, enough)):
		return emulator.memory()
	case <-ctx.Done():
		return resident{}, context.Cause(ctx)
	}
}

// memory measures the growth of the loaded emulator's memory since it was idle. The first
// reading follows the operations so far; the second follows requests for more audiences than
// any cache holds.
func (b *bench) memory(ctx context.Context, emulator *process, idle resident) (table, error) {
	if !b.only.MatchString("memory") {
		return table{}, nil
	}
	b.say("memory: %d audiences", b.audiences)
	loaded, err := emulator.memory()
	if err != nil {
		return table{}, err
	}
	if err := b.manyAudiences(ctx, emulator); err != nil {
		return table{}, fmt.Errorf("%q: the emulator: %w", "memory", err)
	}
	full, err := emulator.memory()
	if err != nil {
		return table{}, err
	}
	b.say("memory: %v without a request", b.rest)
	select {
	case <-time.After(b.rest):
	case <-ctx.Done():
		return table{}, context.Cause(ctx)
	}
	rested, err := emulator.memory()
	if err != nil {
		return table{}, err
	}
	return table{
		intro:  "Resident memory of the emulator (`VmRSS`).",
		header: []string{"memory", "resident", "growth"},
		rows: [][]string{
			{"idle, with its keys", idle.String(), ""},
			{"after the load above", loaded.String(), loaded.growth(idle)},
			{fmt.Sprintf("after ID tokens for %d more audiences", b.audiences), full.String(), full.growth(loaded)},
			{fmt.Sprintf("after %v without a request", b.rest), rested.String(), rested.growth(full)},
		},
	}, nil
}

// manyAudiences requests ID tokens, each for a new audience.
func (b *bench) manyAudiences(ctx context.Context, emulator *process) error {
	// A signature takes about a millisecond. The limit applies if the server has become much
	// slower.
	const slowest = 10 * time.Millisecond
	template := identity("https://memory.example.com/" + load.Counter).Compile(emulator.addr)
	result, err := emulator.load(ctx, template, load.Limits{
		Connections: b.connections,
		Duration:    time.Minute + time.Duration(b.audiences)*slowest,
		Requests:    b.audiences,
	})
	if err != nil {
		return err
	}
	if answered := result.Latencies.Count(); answered != uint64(b.audiences) {
		return fmt.Errorf("answered only %d of %d requests within %v", answered, b.audiences, result.Elapsed.Round(time.Second))
	}
	return nil
}
