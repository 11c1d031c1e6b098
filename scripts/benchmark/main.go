// Command benchmark compares the emulator with minimal servers for the same answers, and prints
// the results as Markdown.
//
// Machines differ and are shared, so the benchmark does not report absolute times. It loads the
// emulator and a reference server in turn, A B A B …, and reports the median, lowest and
// highest ratio of the pairs. The reference servers are bare net/http servers in their own
// processes. One sends constant bytes, as many as the emulator and with the same header; the
// other makes one RSA-2048 signature per request.
//
// The command owns the list of operations, the processes and the tables. Package load sends the
// requests, and package ratio summarises the results.
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
		_, _ = fmt.Fprintf(os.Stderr, "benchmark: %v\n", err) // there is no other place to report errors
		code = 1
	}
	stop()
	os.Exit(code) //nolint:forbidigo // this is the main function of a separate command
}

// options holds the command line.
type options struct {
	emulator    string
	earlier     string // empty: none
	boring      string // empty: not compared
	handlers    string // empty: the part around the handler is not measured
	duration    time.Duration
	rounds      int
	connections int
	audiences   int64
	rest        time.Duration
	waiting     int
	starts      int
	only        *regexp.Regexp
	bareHeader  bool
}

// bench is one run of the benchmark.
type bench struct {
	options
	self     string // this program's path; it also runs the reference servers
	dir      string // a temporary directory, removed at the end
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
	flags.StringVar(&o.earlier, "against", "", "the `binary` of an earlier emulator, to compare with in the same rounds")
	flags.StringVar(&o.boring, "boring", "", "the `binary` of an emulator that signs with BoringCrypto, to compare its signatures")
	flags.StringVar(&o.handlers, "handlers", "", "the `binary` of the tests of package server, which measure the part of a request around the handler")
	flags.DurationVar(&o.duration, "duration", time.Second, "time for which each server is loaded in each round")
	flags.IntVar(&o.rounds, "rounds", 7, "number of rounds, each of which loads the emulator and its reference")
	flags.IntVar(&o.connections, "connections", 16, "number of simultaneous connections to a server")
	flags.Int64Var(&o.audiences, "audiences", 20_000, "number of distinct audiences of ID tokens in the memory benchmark")
	flags.DurationVar(&o.rest, "rest", time.Minute, "time after which the memory benchmark looks whether the memory has fallen back")
	flags.IntVar(&o.waiting, "waiters", 10_000, "number of requests that wait for a change at the same time")
	flags.IntVar(&o.starts, "starts", 20, "number of starts of each process in the cold start benchmark")
	flags.BoolVar(&o.bareHeader, "bare-header", false, "limit the constant server's header to Content-Type, Content-Length and Date")
	flags.Func("only", "measure only rows whose name matches this `regexp`", func(text string) (err error) {
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
		return o, errors.New("--duration, --rounds, --connections, --audiences, --waiters and --starts must be positive")
	}
	return o, nil
}

// measure runs all benchmarks and writes each table as soon as it is complete.
func (b *bench) measure(ctx context.Context, stdout io.Writer) error {
	if _, err := fmt.Fprintln(stdout, machine()); err != nil {
		return err
	}
	emulator, err := b.startEmulator(ctx, b.emulator, "state")
	if err != nil {
		return err
	}
	defer emulator.stop()

	idle, err := b.idle(ctx, emulator)
	if err != nil {
		return err
	}
	steps := []func(context.Context) (table, error){
		func(ctx context.Context) (table, error) { return b.throughput(ctx, emulator) },
		func(ctx context.Context) (table, error) { return b.memory(ctx, emulator, idle) },
		b.waiters,
		b.scale,
		b.coldStarts,
		b.boringSignatures,
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

// say reports progress. It ignores errors, because progress is optional.
func (b *bench) say(format string, args ...any) {
	_, _ = fmt.Fprintf(b.progress, format+"\n", args...)
}
