package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"gcp-metadata-emulator/scripts/benchmark/load"
)

// readiness limits the time in which an emulator makes its keys. It is far longer than that takes on a busy
// machine.
const readiness = 5 * time.Minute

// startEmulator starts an emulator for the load, and waits until it has keys and has answered. It
// uses the folder of the given name.
func (b *bench) startEmulator(ctx context.Context, binary, name string) (*process, error) {
	ready := filepath.Join(b.dir, name+"-url")
	if err := os.Remove(ready); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	emulator, err := b.serve(ctx, binary, filepath.Join(b.dir, name), "--url-file", ready)
	if err != nil {
		return nil, err
	}
	b.say("waiting for the emulator")
	err = emulator.awaitFile(ctx, ready)
	for _, request := range []load.Request{projectID(), identity("https://bench.example.com")} {
		if err == nil {
			_, err = emulator.once(ctx, request)
		}
	}
	if err != nil {
		emulator.stop()
		return nil, fmt.Errorf("the emulator is not ready: %w", err)
	}
	return emulator, nil
}

// serve starts an emulator and does not wait.
func (b *bench) serve(ctx context.Context, binary, stateDir string, flags ...string) (*process, error) {
	args := append([]string{"serve", "--listen", "{addr}", "--state-dir", stateDir}, flags...)
	return start(ctx, binary, args...)
}

// refer starts a reference server and does not wait. A constant server sends as many bytes as
// answer has, with the same header fields: net/http spends most of its time on header fields.
func (b *bench) refer(ctx context.Context, does kind, answer *load.Answer) (*process, error) {
	args := []string{referenceCommand, "--listen", "{addr}", "--kind", string(does), "--size", strconv.Itoa(len(answer.Body))}
	for name, values := range answer.Header {
		switch {
		case name == "Date", name == "Content-Length": // net/http's own
		case b.bareHeader && name != "Content-Type":
		default:
			for _, value := range values {
				args = append(args, "--header", name+": "+value)
			}
		}
	}
	return start(ctx, b.self, args...)
}

// awaitFile waits until the process has written a file.
func (p *process) awaitFile(ctx context.Context, path string) error {
	ctx, detach := p.during(ctx)
	defer detach()
	ctx, cancel := context.WithTimeoutCause(ctx, readiness, fmt.Errorf("%q was not written within %v", path, readiness))
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}
