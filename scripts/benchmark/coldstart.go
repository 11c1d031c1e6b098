package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"gcp-metadata-emulator/scripts/benchmark/load"
	"gcp-metadata-emulator/scripts/benchmark/ratio"
)

// keyBits is the size of the emulator's keys, and of the keys in the comparison.
const keyBits = 2048

// coldStart is one row of the table of cold starts: the time from the start of the process to
// the first byte of its first answer.
type coldStart struct {
	name    string
	request load.Request
	keys    keys
	against rival
}

// keys says whether the emulator finds keys in its state directory.
type keys int

const (
	kept keys = iota
	none
)

// rival is the reference of a cold start.
type rival int

const (
	constantStart rival = iota // the cold start of a constant server
	keyGeneration              // the generation of an RSA key
)

func coldStarts() []coldStart {
	const audience = "https://bench.example.com"
	return []coldStart{
		{"first metadata answer, kept keys", projectID(), kept, constantStart},
		{"first metadata answer, no keys yet", projectID(), none, constantStart},
		{"first ID token, kept keys", identity(audience), kept, constantStart},
		{"first ID token, no keys yet", identity(audience), none, keyGeneration},
	}
}

// coldStarts measures the rows of the table, with starts of both sides in turn.
func (b *bench) coldStarts(ctx context.Context) (table, error) {
	t := table{
		intro: fmt.Sprintf("From the start of the process to the first byte of its first answer: ratio of the medians of %d starts each.",
			b.starts),
		header: []string{"cold start", "compared with", "ratio"},
	}
	for _, c := range coldStarts() {
		if !b.only.MatchString(c.name) {
			continue
		}
		b.say("%s", c.name)
		row, err := b.compareStarts(ctx, c)
		if err != nil {
			return table{}, fmt.Errorf("%q: %w", c.name, err)
		}
		b.say("    %s", row[2])
		t.rows = append(t.rows, row)
	}
	return t, nil
}

// compareStarts measures one row.
func (b *bench) compareStarts(ctx context.Context, c coldStart) ([]string, error) {
	answer, err := b.keepKeys(ctx, c.request)
	if err != nil {
		return nil, fmt.Errorf("the emulator: %w", err)
	}
	var ours, theirs []float64
	for range b.starts {
		took, err := b.startOurs(ctx, c)
		if err != nil {
			return nil, fmt.Errorf("the emulator: %w", err)
		}
		ours = append(ours, milliseconds(took))
		took, err = b.startTheirs(ctx, c, answer)
		if err != nil {
			return nil, fmt.Errorf("the reference: %w", err)
		}
		theirs = append(theirs, milliseconds(took))
	}
	our, their := ratio.Median(ours), ratio.Median(theirs)
	if c.against == keyGeneration {
		return []string{c.name, "making an RSA-2048 key", fmt.Sprintf("%.2f (%.0f ms ÷ %.0f ms)", our/their, our, their)}, nil
	}
	return []string{c.name, "cold start, " + constant.String(), fmt.Sprintf("%.2f", our/their)}, nil
}

// keepKeys starts an emulator to create the state directory of kept keys, and returns its
// answer to request.
func (b *bench) keepKeys(ctx context.Context, request load.Request) (*load.Answer, error) {
	emulator, err := b.serve(ctx, b.emulator, b.keptDir())
	if err != nil {
		return nil, err
	}
	defer emulator.stop()
	if _, err := emulator.once(ctx, identity("https://bench.example.com")); err != nil {
		return nil, err
	}
	return emulator.once(ctx, request)
}

func (b *bench) keptDir() string {
	return filepath.Join(b.dir, "kept")
}

// startOurs measures one start of an emulator.
func (b *bench) startOurs(ctx context.Context, c coldStart) (took time.Duration, err error) {
	dir := b.keptDir()
	if c.keys == none {
		if dir, err = os.MkdirTemp(b.dir, "new-"); err != nil {
			return 0, err
		}
	}
	emulator, err := b.serve(ctx, b.emulator, dir)
	if err != nil {
		return 0, err
	}
	defer emulator.stop()
	return emulator.firstAnswer(ctx, c.request)
}

// startTheirs measures the reference once.
func (b *bench) startTheirs(ctx context.Context, c coldStart, answer *load.Answer) (time.Duration, error) {
	if c.against == keyGeneration {
		begin := load.Now()
		_, err := rsa.GenerateKey(rand.Reader, keyBits)
		return time.Since(begin), err
	}
	server, err := b.refer(ctx, constant, answer)
	if err != nil {
		return 0, err
	}
	defer server.stop()
	return server.firstAnswer(ctx, c.request)
}
