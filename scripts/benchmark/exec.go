package main

import (
	"context"
	"fmt"
	"os/exec"
	"time"

	"gcp-metadata-emulator/scripts/benchmark/load"
	"gcp-metadata-emulator/scripts/benchmark/ratio"
)

// overhead measures the additional time of "exec" with a trivial command and kept keys.
func (b *bench) overhead(ctx context.Context) (table, error) {
	t := table{
		intro:  fmt.Sprintf("Time that \"exec\" adds to a command, with kept keys: difference of the medians of %d runs each of \"true\".", b.starts),
		header: []string{"exec", "the command alone", "added"},
	}
	for _, reach := range []string{"env", "proxy"} {
		name := "exec --reach " + reach
		if !b.only.MatchString(name) {
			continue
		}
		b.say("%s", name)
		added, err := b.compareExec(ctx, name, reach)
		if err != nil {
			return table{}, fmt.Errorf("%q: %w", name, err)
		}
		b.say("    %s", added[2])
		t.rows = append(t.rows, added)
	}
	return t, nil
}

// compareExec measures one row. It does not count the first run, which makes the certificate
// authority.
func (b *bench) compareExec(ctx context.Context, name, reach string) ([]string, error) {
	const command = "true"
	by := []string{b.emulator, "exec", "--state-dir", b.keptDir(b.emulator), "--reach", reach, "--", command}
	if _, err := b.keepKeys(ctx, b.emulator, projectID()); err != nil {
		return nil, err
	}
	if _, err := runOnce(ctx, by...); err != nil {
		return nil, err
	}
	var with, alone []float64
	for range b.starts {
		took, err := runOnce(ctx, by...)
		if err != nil {
			return nil, err
		}
		with = append(with, milliseconds(took))
		if took, err = runOnce(ctx, command); err != nil {
			return nil, err
		}
		alone = append(alone, milliseconds(took))
	}
	their := ratio.Median(alone)
	return []string{name, fmt.Sprintf("%.0f ms", their), fmt.Sprintf("%.0f ms", ratio.Median(with)-their)}, nil
}

// runOnce runs a command and returns its duration.
func runOnce(ctx context.Context, line ...string) (time.Duration, error) {
	begin := load.Now()
	err := exec.CommandContext(ctx, line[0], line[1:]...).Run()
	return time.Since(begin), err
}
