package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"gcp-metadata-emulator/server/conformance"
	"gcp-metadata-emulator/server/journal"
)

type conformanceCommand struct {
	Only    []string      `env:"-" placeholder:"NAME" help:"Only this behaviour, besides the baseline."`
	List    bool          `env:"-" help:"Print the behaviours and how a program should fare, and run nothing."`
	Timeout time.Duration `default:"1m" env:"GCP_METADATA_EMULATOR_CONFORMANCE_TIMEOUT" placeholder:"DURATION" help:"How long one run of the command may take (default: ${default})."`
	JUnit   string        `name:"junit" type:"path" env:"GCP_METADATA_EMULATOR_CONFORMANCE_JUNIT" placeholder:"FILE" help:"Also write the results to FILE, in JUnit's XML."`
	Output  bool          `name:"show-output" env:"-" help:"Show what the command prints, on stderr."`
	Reach   string        `enum:"env, proxy" default:"env" env:"GCP_METADATA_EMULATOR_CONFORMANCE_REACH" help:"How the command finds the emulator, as for exec: ${enum}."`

	emulatorFlags `embed:""`

	Command []string `arg:"" optional:"" passthrough:"partial" placeholder:"COMMAND" help:"Command and its arguments, after --."`
}

// Help returns examples.
func (*conformanceCommand) Help() string {
	return `The command runs once for each behaviour of the servers, such as a moment of 503, each time in a fresh world, and is judged by its exit status, by the number of its requests, and by whether it prints tokens or writes them to files below the current directory. The exit code is 1 if the command fails under a behaviour that it has to survive, or does not fail when it has to; a note is no failure. It is 2 if the flags are wrong, and 128+N after signal N, which ends the command and all further runs.

Examples:
  gcp-metadata-emulator conformance -- python app.py
  gcp-metadata-emulator conformance --junit report.xml -- go test ./...
  gcp-metadata-emulator conformance --list`
}

// Run runs the command once for each behaviour and prints the results.
func (c *conformanceCommand) Run(std streams) error {
	behaviours, err := c.chosen()
	if err != nil {
		return err
	}
	if c.List {
		for _, b := range behaviours {
			_, _ = fmt.Fprintf(std.out, "%s: %s; the program %s, because: %s\n", b.Name, b.Does, b.Program, b.Because)
		}
		return nil
	}
	command, err := commandOf(c.Command)
	if err != nil {
		return err
	}
	if err := checkFile("results", c.JUnit, "--junit"); err != nil {
		return err
	}
	results, stopped := c.runAll(behaviours, command, std)
	if len(results) > 0 {
		if err := errors.Join(conformance.WriteTable(std.out, results), c.writeJUnit(results)); err != nil {
			return err
		}
	}
	if stopped != nil {
		return stopped
	}
	bad := slices.DeleteFunc(results, func(r conformance.Result) bool { return r.Verdict != conformance.Bad })
	if len(bad) > 0 {
		return fmt.Errorf("%q failed under %d of %d behaviours, the first of which is %q", command[0], len(bad), len(results), bad[0].Behaviour.Name)
	}
	return nil
}

// chosen returns the behaviours to run, the baseline first.
func (c *conformanceCommand) chosen() ([]conformance.Behaviour, error) {
	all := conformance.Behaviours()
	if len(c.Only) == 0 {
		return all, nil
	}
	names := make([]string, len(all))
	for i, b := range all {
		names[i] = b.Name
	}
	for _, name := range c.Only {
		if !slices.Contains(names, name) {
			return nil, &usageError{fmt.Errorf("%q is not a behaviour; behaviours are: %s", name, strings.Join(names, ", "))}
		}
	}
	return slices.DeleteFunc(all, func(b conformance.Behaviour) bool {
		return b.Name != conformance.Baseline && !slices.Contains(c.Only, b.Name)
	}), nil
}

// runAll runs the command under each behaviour. Without a good baseline it stops. If an error or a signal stops it
// earlier, it also returns the results until then.
func (c *conformanceCommand) runAll(behaviours []conformance.Behaviour, command []string, std streams) ([]conformance.Result, error) {
	serving, stop := context.WithCancel(context.Background())
	defer stop()
	e, err := c.start(serving, oneAddress("127.0.0.1:0", ""), nil, c.logger(slog.LevelError, std))
	if err != nil {
		return nil, err
	}
	signals := make(chan os.Signal, mostSignals)
	signal.Notify(signals, heard()...)
	defer signal.Stop(signals)
	trial := trial{emulator: e, control: clientFlags{URL: e.url.String()}, exec: execCommand{Reach: c.Reach, emulatorFlags: c.emulatorFlags}, timeout: c.Timeout, command: command}
	if c.Output {
		trial.shown = std.err
	}
	var results []conformance.Result
	var usual conformance.Observation
	for _, b := range behaviours {
		_, _ = fmt.Fprintf(std.err, "%s: %s\n", b.Name, b.Does)
		seen, err := trial.run(serving, b, signals)
		if number := early(signals); err == nil && number != 0 {
			err = statusError(bySignal + int(number))
		}
		if err != nil {
			return results, err
		}
		if b.Name == conformance.Baseline {
			usual = seen
		}
		results = append(results, conformance.Judge(b, seen, usual))
		if results[0].Verdict == conformance.Bad {
			break // nothing else can be judged
		}
	}
	stop()
	return results, <-e.ended
}

func (c *conformanceCommand) writeJUnit(results []conformance.Result) error {
	if c.JUnit == "" {
		return nil
	}
	const readable = 0o644
	var text strings.Builder
	err := conformance.WriteJUnit(&text, results)
	if err == nil {
		err = replaceFile(c.JUnit, text.String(), readable)
	}
	if err != nil {
		return fmt.Errorf("write the results to %q: %w", c.JUnit, rootCause(err))
	}
	return nil
}

// trial runs a command under behaviours.
type trial struct {
	emulator *emulator
	control  clientFlags
	exec     execCommand
	timeout  time.Duration
	command  []string
	shown    io.Writer // for the output of the command; nil: it is not shown
}

// mostSignals is how many signals wait until the command is told of them.
const mostSignals = 8

// relay passes signals on to the command of a trial until the trial is over, and returns the first of them that
// ends this program too, or 0.
func relay(from <-chan os.Signal, to chan<- os.Signal, over <-chan struct{}) syscall.Signal {
	var first syscall.Signal
	for {
		select {
		case received := <-from:
			if number, ok := received.(syscall.Signal); ok && first == 0 && ends(number) {
				first = number
			}
			select {
			case to <- received:
			case <-over:
			}
		case <-over:
			return first
		}
	}
}

// run runs the command once, in a fresh world with a behaviour. A signal from outside ends all trials.
func (t trial) run(ctx context.Context, b conformance.Behaviour, outside <-chan os.Signal) (conformance.Observation, error) {
	if err := t.prepare(ctx, b); err != nil {
		return conformance.Observation{}, fmt.Errorf("prepare %q: %w", b.Name, err)
	}
	// Only a file has all of the output as soon as the command has ended.
	output, err := os.CreateTemp("", program+"-output-*")
	if err != nil {
		return conformance.Observation{}, fmt.Errorf("make a file for the output of the command: %w", rootCause(err))
	}
	std := streams{in: strings.NewReader(""), out: output, err: output}
	signals := make(chan os.Signal, mostSignals) // of this trial: the timer's signal must not reach the next command
	over, ending := make(chan struct{}), make(chan syscall.Signal)
	go func() { ending <- relay(outside, signals, over) }()
	var late sync.Once
	timedOut := false
	timer := time.AfterFunc(t.timeout, func() {
		late.Do(func() {
			timedOut = true
			select {
			case signals <- syscall.SIGTERM:
			default: // it has more signals than it can take
			}
		})
	})
	const slack = 10 * time.Millisecond // the times of files are less exact
	began := time.Now()
	err = t.exec.runCommand(t.emulator, signals, child{command: t.command, grace: stopGrace}, std) //nolint:contextcheck // a signal ends it, not a context
	took := time.Since(began)
	timer.Stop()
	late.Do(func() {}) // the timer's function has ended, or never begins
	close(over)
	ended := <-ending
	seen := conformance.Observation{TimedOut: timedOut, Took: took, Output: t.take(output), Files: conformance.WithTokens(os.DirFS("."), began.Add(-slack))}
	if status, ok := errors.AsType[statusError](err); ok {
		seen.Status, err = int(status), nil
	}
	if ended != 0 {
		return seen, statusError(bySignal + int(ended))
	}
	if err == nil {
		seen.Requests, err = t.requests(ctx)
	}
	return seen, err
}

// take returns the beginning of the output of the command, shows it, and removes the file.
func (t trial) take(output *os.File) string {
	defer func() { _ = errors.Join(output.Close(), os.Remove(output.Name())) }() // it has been read
	const most = 1 << 20
	text, _ := io.ReadAll(io.NewSectionReader(output, 0, most)) // a part of it is better than nothing
	if t.shown != nil {
		_, _ = t.shown.Write(text)
	}
	return string(text)
}

// prepare makes a fresh world with a behaviour.
func (t trial) prepare(ctx context.Context, b conformance.Behaviour) error {
	type call struct {
		method, path string
		body         any
	}
	calls := []call{{http.MethodPost, "reset", struct{}{}}}
	if b.Rotates {
		calls = append(calls, call{http.MethodPost, "keys:rotate", map[string]int{"keep": 0}})
	}
	if b.Clock != 0 {
		calls = append(calls, call{http.MethodPut, "clock", map[string]time.Time{"now": time.Now().Add(b.Clock)}})
	}
	for path, value := range b.Metadata {
		calls = append(calls, call{http.MethodPut, "instances/-/metadata/" + path, map[string]string{"value": value}})
	}
	for _, rule := range b.Faults {
		calls = append(calls, call{http.MethodPost, "faults", rule})
	}
	for _, one := range calls {
		body, err := json.Marshal(one.body)
		if err == nil {
			_, err = t.control.call(ctx, one.method, "/emulator/v1/"+one.path, bytes.NewReader(body))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// requests returns the requests since the last reset.
func (t trial) requests(ctx context.Context) ([]journal.Exchange, error) {
	const most = 1000
	answer, err := t.control.get(ctx, "/emulator/v1/requests?"+url.Values{"limit": {strconv.Itoa(most)}}.Encode())
	if err != nil {
		return nil, err
	}
	var list struct {
		Requests []journal.Exchange `json:"requests"`
	}
	if err := json.Unmarshal([]byte(answer), &list); err != nil {
		return nil, fmt.Errorf("read the emulator's journal: %w", err)
	}
	return list.Requests, nil
}
