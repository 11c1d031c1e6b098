package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"gcp-metadata-emulator/scripts/benchmark/load"
	"gcp-metadata-emulator/scripts/benchmark/ratio"
)

// keyBits is the size of the emulator's keys, and of the keys in the comparison.
const keyBits = 2048

// coldStart is one row of the table of cold starts: the time, and the CPU time of the process, from
// its start to the first byte of its first answer.
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
	signingStart               // the same; the emulator makes one signature more, which does not count
	keyGeneration              // the generation of an RSA key
)

func coldStarts() []coldStart {
	const audience = "https://bench.example.com"
	return []coldStart{
		{"first metadata answer, kept keys", projectID(), kept, constantStart},
		{"first metadata answer, no keys yet", projectID(), none, constantStart},
		{"first ID token, kept keys", identity(audience), kept, signingStart},
		{"first ID token, no keys yet", identity(audience), none, keyGeneration},
	}
}

// coldStarts measures the rows of the table, with starts of both sides in turn.
func (b *bench) coldStarts(ctx context.Context) (table, error) {
	t := table{
		intro: fmt.Sprintf("From the start of the process to the first byte of its first answer: ratio of the medians of %d starts each.",
			b.starts),
		header: []string{"cold start", "compared with", "time", "CPU time", "CPU time, earlier ÷ emulator"},
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
	ours, theirs, earlier, err := b.startAll(ctx, c)
	if err != nil {
		return nil, err
	}
	change := ""
	if b.earlier != "" {
		change = earlier.cpuRatio(ours, 0)
	}
	our, their := ratio.Median(ours.times), ratio.Median(theirs.times)
	if c.against == keyGeneration {
		return []string{c.name, "making an RSA-2048 key", fmt.Sprintf("%.2f (%.0f ms ÷ %.0f ms)", our/their, our, their), "", change}, nil
	}
	against, signature := "cold start, "+constant.String(), 0.0
	if c.against == signingStart {
		against += "; without one RSA-2048 signature"
		if signature, err = signatureTime(); err != nil {
			return nil, err
		}
	}
	return []string{c.name, against, fmt.Sprintf("%.2f", (our-signature)/their), ours.cpuRatio(theirs, signature), change}, nil
}

// startAll starts the emulator, the reference and an earlier emulator, if there is one, in turns.
func (b *bench) startAll(ctx context.Context, c coldStart) (ours, theirs, earlier begun, err error) {
	answer, err := b.keepKeys(ctx, b.emulator, c.request)
	if err == nil && b.earlier != "" {
		_, err = b.keepKeys(ctx, b.earlier, c.request)
	}
	if err != nil {
		return ours, theirs, earlier, fmt.Errorf("keep the keys of an emulator: %w", err)
	}
	for range b.starts {
		our, err := b.startOurs(ctx, c, b.emulator)
		if err != nil {
			return ours, theirs, earlier, fmt.Errorf("the emulator: %w", err)
		}
		their, err := b.startTheirs(ctx, c, answer)
		if err != nil {
			return ours, theirs, earlier, fmt.Errorf("the reference: %w", err)
		}
		ours.add(our)
		theirs.add(their)
		if b.earlier == "" {
			continue
		}
		before, err := b.startOurs(ctx, c, b.earlier)
		if err != nil {
			return ours, theirs, earlier, fmt.Errorf("the earlier emulator: %w", err)
		}
		earlier.add(before)
	}
	return ours, theirs, earlier, nil
}

// beginning is the time from the start of a process to its first answer, and its CPU time until then.
type beginning struct{ time, cpu time.Duration }

// begun are several starts, in milliseconds.
type begun struct{ times, cpus []float64 }

func (b *begun) add(s beginning) {
	b.times, b.cpus = append(b.times, milliseconds(s.time)), append(b.cpus, milliseconds(s.cpu))
}

// cpuRatio compares CPU times, without the given milliseconds of b's.
func (b *begun) cpuRatio(other begun, without float64) string {
	ours, theirs := ratio.Median(b.cpus), ratio.Median(other.cpus)
	if ours == 0 || theirs == 0 {
		return unavailable
	}
	return fmt.Sprintf("%.2f", (ours-without)/theirs)
}

// signatureTime returns the milliseconds that one RSA-2048 signature takes.
func signatureTime() (float64, error) {
	const several = 20
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return 0, fmt.Errorf("cannot make a key: %w", err)
	}
	var taken []float64
	for i := range several {
		digest := sha256.Sum256([]byte{byte(i)})
		begin := load.Now()
		if _, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:]); err != nil {
			return 0, fmt.Errorf("cannot sign: %w", err)
		}
		taken = append(taken, milliseconds(time.Since(begin)))
	}
	return ratio.Median(taken), nil
}

// keepKeys starts an emulator to create its state directory of kept keys, and returns its answer to
// request.
func (b *bench) keepKeys(ctx context.Context, binary string, request load.Request) (*load.Answer, error) {
	emulator, err := b.serve(ctx, binary, b.keptDir(binary))
	if err != nil {
		return nil, err
	}
	defer emulator.stop()
	if _, err := emulator.once(ctx, identity("https://bench.example.com")); err != nil {
		return nil, err
	}
	return emulator.once(ctx, request)
}

// keptDir returns the state directory of a program. An earlier one cannot read the files of a later one.
func (b *bench) keptDir(binary string) string {
	if binary == b.earlier {
		return filepath.Join(b.dir, "kept-earlier")
	}
	return filepath.Join(b.dir, "kept")
}

// startOurs measures one start of an emulator.
func (b *bench) startOurs(ctx context.Context, c coldStart, binary string) (_ beginning, err error) {
	dir := b.keptDir(binary)
	if c.keys == none {
		if dir, err = os.MkdirTemp(b.dir, "new-"); err != nil {
			return beginning{}, err
		}
	}
	emulator, err := b.serve(ctx, binary, dir)
	if err != nil {
		return beginning{}, err
	}
	defer emulator.stop()
	return emulator.begin(ctx, c.request)
}

// startTheirs measures the reference once.
func (b *bench) startTheirs(ctx context.Context, c coldStart, answer *load.Answer) (beginning, error) {
	if c.against == keyGeneration {
		begin := load.Now()
		_, err := rsa.GenerateKey(rand.Reader, keyBits)
		return beginning{time: time.Since(begin)}, err
	}
	server, err := b.refer(ctx, constant, answer)
	if err != nil {
		return beginning{}, err
	}
	defer server.stop()
	return server.begin(ctx, c.request)
}

// begin measures the start of a process.
func (p *process) begin(ctx context.Context, request load.Request) (s beginning, err error) {
	if s.time, err = p.firstAnswer(ctx, request); err != nil {
		return s, err
	}
	s.cpu, err = p.cpu()
	return s, err
}
