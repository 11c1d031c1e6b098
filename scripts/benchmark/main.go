// Command benchmark compares the emulator with the least that a server could
// do for the same answer, and prints what it found as Markdown.
//
// Machines differ and are shared, so nothing is measured in absolute terms:
// the emulator and a reference server are loaded in turn, A B A B …, and the
// medians of each pair's ratios are shown with the lowest and the highest. The
// reference servers are bare net/http servers in processes of their own: one
// answers constant bytes, as many as the emulator answers with the same header,
// the other makes one RSA-2048 signature per request.
//
// It owns the operations measured, the processes, and the tables; package load
// sends the requests, package ratio summarises.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := 0
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "benchmark: %v\n", err) // nowhere left to complain
		code = 1
	}
	stop()
	os.Exit(code) //nolint:forbidigo // this is main, of a command of its own
}

// options are the command line.
type options struct {
	emulator    string
	duration    time.Duration
	rounds      int
	connections int
	audiences   int64
	waiting     int
	starts      int
	only        *regexp.Regexp
	bareHeader  bool
}

// bench is one run of the benchmark.
type bench struct {
	options
	self     string // this program, which is also the reference servers
	dir      string // removed in the end
	progress io.Writer
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	if len(args) > 0 && args[0] == referenceCommand {
		return reference(ctx, args[1:], os.Stdin)
	}
	chosen, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "benchmark-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &bench{options: chosen, self: self, dir: dir, progress: stderr}
	return b.measure(ctx, stdout)
}

// parse reads the command line.
func parse(args []string, stderr io.Writer) (options, error) {
	o := options{only: regexp.MustCompile("")}
	flags := flag.NewFlagSet("benchmark", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.emulator, "emulator", "", "the emulator's `binary`")
	flags.DurationVar(&o.duration, "duration", time.Second, "how long each server is loaded in each round")
	flags.IntVar(&o.rounds, "rounds", 7, "how often the emulator and its reference are loaded in turn")
	flags.IntVar(&o.connections, "connections", 16, "connections that load a server at the same time")
	flags.Int64Var(&o.audiences, "audiences", 20_000, "distinct audiences for which ID tokens are asked when memory is measured")
	flags.IntVar(&o.waiting, "waiters", 10_000, "requests that wait for a change at the same time")
	flags.IntVar(&o.starts, "starts", 20, "how often each process is started when cold starts are measured")
	flags.BoolVar(&o.bareHeader, "bare-header", false, "let the constant server send no header field but Content-Type, Content-Length and Date")
	flags.Func("only", "measure only the rows whose name matches this `regexp`", func(text string) (err error) {
		o.only, err = regexp.Compile(text)
		return err
	})
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("%q is not a flag", flags.Arg(0))
	case o.emulator == "":
		return o, errors.New("--emulator is missing")
	case o.duration <= 0, o.rounds < 1, o.connections < 1, o.audiences < 1, o.waiting < 1, o.starts < 1:
		return o, errors.New("--duration, --rounds, --connections, --audiences, --waiters and --starts have to be positive")
	}
	return o, nil
}

// measure runs everything and writes each table as soon as it is known.
func (b *bench) measure(ctx context.Context, stdout io.Writer) error {
	if _, err := fmt.Fprintln(stdout, machine()); err != nil {
		return err
	}
	emulator, err := b.startEmulator(ctx)
	if err != nil {
		return err
	}
	defer emulator.stop()

	idle, err := emulator.memory()
	if err != nil {
		return err
	}
	steps := []func(context.Context) (table, error){
		func(ctx context.Context) (table, error) { return b.throughput(ctx, emulator) },
		func(ctx context.Context) (table, error) { return b.memory(ctx, emulator, idle) },
		b.waiters,
		b.scale,
		b.coldStarts,
		b.overhead,
	}
	for _, step := range steps {
		table, err := step(ctx)
		if err != nil {
			return err
		}
		if _, err := io.WriteString(stdout, table.markdown()); err != nil {
			return err
		}
	}
	return nil
}

// say reports progress. That nobody listens is no reason to stop.
func (b *bench) say(format string, args ...any) {
	_, _ = fmt.Fprintf(b.progress, format+"\n", args...)
}
