package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	"gcp-metadata-emulator/scripts/benchmark/load"
	"gcp-metadata-emulator/scripts/benchmark/ratio"
)

const (
	entry = "instance/attributes/bench"
	// promptly limits the time from a change to the last answer.
	promptly = 2 * time.Second
	// roomy limits the process's memory with all requests waiting, in bytes.
	roomy = 200 << 20
)

// waiters measures the cost of requests that wait for a change of metadata, and the time until
// one change has answered all of them.
func (b *bench) waiters(ctx context.Context) (table, error) {
	if !b.only.MatchString("waiters") {
		return table{}, nil
	}
	b.say("waiters: %d", b.waiting)
	emulator, err := b.serve(ctx, b.emulator, filepath.Join(b.dir, "state")) // a fresh emulator, without other work before
	if err != nil {
		return table{}, err
	}
	defer emulator.stop()
	w := &waitingRoom{emulator: emulator, wait: metadata("/computeMetadata/v1/" + entry + "?wait_for_change=true").Compile(emulator.addr)}
	rows, err := b.compareWaiters(ctx, w)
	if err != nil {
		return table{}, fmt.Errorf("%q: %w", "waiters", err)
	}
	return table{
		intro: fmt.Sprintf("An emulator with requests that wait for a change, each on its own connection: resident memory, and "+
			"the time from one change to the last answer ÷ the time of a constant server for as many requests, median (lowest–highest) of %d rounds.", b.rounds),
		header: []string{"waiters", "resident", "growth", "up to 200 MiB", "answered by a change", "all within 2 s"},
		rows:   rows,
	}, nil
}

// compareWaiters measures the rows: an emulator with new connections, and an emulator whose
// connections have had answers before.
func (b *bench) compareWaiters(ctx context.Context, w *waitingRoom) ([][]string, error) {
	if _, err := w.emulator.once(ctx, w.change()); err != nil {
		return nil, err
	}
	idle, err := w.emulator.memory()
	if err != nil {
		return nil, err
	}
	var ours []float64
	memories := make([]resident, b.rounds)
	if err := w.emulator.crowd(ctx, b.waiting, func(ctx context.Context, crowd *load.Crowd) error {
		for i := range b.rounds {
			took, err := w.round(ctx, crowd, b.waiting, &memories[i])
			if err != nil {
				return err
			}
			ours = append(ours, milliseconds(took))
		}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("the emulator: %w", err)
	}
	theirs, err := b.constantCrowd(ctx, w)
	if err != nil {
		return nil, fmt.Errorf("the reference server: %w", err)
	}
	prompt := "yes"
	for _, took := range ours {
		if took > milliseconds(promptly) {
			prompt = "no"
		}
	}
	last := memories[len(memories)-1]
	return [][]string{
		{fmt.Sprintf("%d on new connections", b.waiting), memories[0].String(), memories[0].growth(idle), memories[0].within(roomy), ratio.Of(ours, theirs).String(), prompt},
		{"again on the same connections", last.String(), last.growth(idle), last.within(roomy), "", ""},
	}, nil
}

// constantCrowd measures a constant server with as many requests and rounds.
func (b *bench) constantCrowd(ctx context.Context, w *waitingRoom) (times []float64, err error) {
	answer, err := w.emulator.once(ctx, metadata("/computeMetadata/v1/"+entry))
	if err != nil {
		return nil, err
	}
	server, err := b.refer(ctx, constant, answer)
	if err != nil {
		return nil, err
	}
	defer server.stop()
	if _, err := server.once(ctx, metadata("/")); err != nil {
		return nil, err
	}
	err = server.crowd(ctx, b.waiting, func(_ context.Context, crowd *load.Crowd) error {
		for range b.rounds {
			begin := load.Now()
			if err := crowd.Send(w.wait); err != nil {
				return err
			}
			if err := crowd.Receive(); err != nil {
				return err
			}
			times = append(times, milliseconds(load.Now().Sub(begin)))
		}
		return nil
	})
	return times, err
}

// waitingRoom is an emulator with requests that wait for a change.
type waitingRoom struct {
	emulator *process
	wait     *load.Template
	changes  int
}

// change returns a request that changes the entry.
func (w *waitingRoom) change() load.Request {
	w.changes++
	return load.Request{Method: "PUT", Target: "/emulator/v1/instances/-/metadata/" + entry, Body: fmt.Sprintf(`{"value": "%d"}`, w.changes)}
}

// round lets a crowd wait, reads the memory, and measures the time from a change to the last
// answer.
func (w *waitingRoom) round(ctx context.Context, crowd *load.Crowd, size int, memory *resident) (time.Duration, error) {
	if err := crowd.Send(w.wait); err != nil {
		return 0, err
	}
	if err := w.await(ctx, size); err != nil {
		return 0, err
	}
	var err error
	if *memory, err = w.emulator.memory(); err != nil {
		return 0, err
	}
	begin := load.Now()
	if _, err := w.emulator.once(ctx, w.change()); err != nil {
		return 0, err
	}
	if err := crowd.Receive(); err != nil {
		return 0, err
	}
	return load.Now().Sub(begin), nil
}

// await waits until the emulator has size waiting requests.
func (w *waitingRoom) await(ctx context.Context, size int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readiness, fmt.Errorf("fewer than %d requests were waiting after %v", size, readiness))
	defer cancel()
	const slowest = 100 * time.Microsecond
	wait := time.Duration(size) * slowest // reading the long list more often would disturb the measurement
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
		answer, err := w.emulator.once(ctx, load.Request{Method: "GET", Target: "/emulator/v1/waiters"})
		if err != nil {
			return err
		}
		var listed struct {
			Waiters []struct{} `json:"waiters"`
		}
		if err := json.Unmarshal(answer.Body, &listed); err != nil {
			return err
		}
		if len(listed.Waiters) == size {
			return nil
		}
	}
}

// crowd opens connections to the process and calls use with them.
func (p *process) crowd(ctx context.Context, connections int, use func(context.Context, *load.Crowd) error) error {
	ctx, cancel := p.during(ctx)
	defer cancel()
	crowd, err := load.Gather(ctx, p.addr, connections)
	if err != nil {
		return p.explain(err)
	}
	defer crowd.Close()
	return p.explain(use(ctx, crowd))
}
