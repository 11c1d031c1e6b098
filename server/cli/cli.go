// Package cli implements the command line: commands, flags, environment variables and exit codes.
//
// Each flag is defined once, with its name, environment variable, default and help. The package
// reads flags, the environment and the files that users name; other packages do most of the work.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/cli/completion"
)

const (
	program   = "gcp-metadata-emulator"
	envPrefix = "GCP_METADATA_EMULATOR"

	exitFailed = 1
	exitUsage  = 2
)

// grammar lists all commands.
type grammar struct {
	Serve       serveCommand       `cmd:"" default:"withargs" help:"Run an emulator until interrupted. This is the default command."`
	Exec        execCommand        `cmd:"" help:"Run a command against a temporary emulator on a free port."`
	Ingress     ingressCommand     `cmd:"" help:"Put a door in front of a service, which checks callers as Cloud Run does."`
	Call        callCommand        `cmd:"" help:"Call a service with an ID token, as a program or as Cloud Tasks, Scheduler, Pub/Sub, Eventarc or Workflows does."`
	Attack      attackCommand      `cmd:"" help:"Try out which bad tokens a service lets in."`
	Stop        stopCommand        `cmd:"" help:"End an emulator that serve --detach has started."`
	Logs        logsCommand        `cmd:"" help:"Print the log of an emulator that serve --detach has started."`
	Requests    requestsCommand    `cmd:"" help:"Print the requests that a running emulator has answered, and why it refused some."`
	Explain     explainCommand     `cmd:"" help:"Say in sentences what happened in a running emulator lately."`
	Env         envCommand         `cmd:"" help:"Print the environment variables that lead programs to a running emulator."`
	Credentials credentialsCommand `cmd:"" help:"Write a credential file for a running emulator."`
	Token       tokenCommand       `cmd:"" help:"Print a token from a running emulator."`
	Verify      verifyCommand      `cmd:"" help:"Print a token's content, or the reason why it is not valid."`
	Keys        keysCommand        `cmd:"" help:"Take the signing keys to another emulator, or to a Kubernetes cluster."`
	Fixture     fixtureCommand     `cmd:"" help:"Check a fixture, print it with its defaults, or print the schema of fixtures."`
	Ready       readyCommand       `cmd:"" help:"Check whether a running emulator is ready, for container health checks."`
	Doctor      doctorCommand      `cmd:"" help:"Report which server each client library finds, and why."`
	Compare     compareCommand     `cmd:"" help:"Print how a server of Google's differs from the emulator."`
	Record      recordCommand      `cmd:"" help:"Record a real metadata server for serve --metadata."`
	Conformance conformanceCommand `cmd:"" help:"Judge how a command fares while servers misbehave."`
	Version     versionCommand     `cmd:"" help:"Print the version."`
	Help        helpCommand        `cmd:"" name:"help" help:"Print the help of a command, or the manual."`
	Completion  completionCommand  `cmd:"" help:"Print a script that makes a shell complete commands, flags and their values."`
	Complete    completeCommand    `cmd:"" hidden:""`

	PrintVersion versionFlag `name:"version" env:"-" help:"Print the version."`
}

// streams holds the standard streams of a command.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// Main runs the program with the process's arguments and returns its exit code.
func Main() int {
	boundGarbage()
	forgetEmptyVariables()
	return run(os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr})
}

// interruptible returns a context that ends when the user interrupts the program. exec does not
// call this function: it passes all signals on to its command.
func interruptible() (context.Context, error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	return ctx, nil
}

// forgetEmptyVariables unsets the emulator's empty variables. If a compose file passes on a
// variable that its caller has not set, the variable is empty.
func forgetEmptyVariables() {
	for _, entry := range os.Environ() {
		if name, value, _ := strings.Cut(entry, "="); value == "" && strings.HasPrefix(name, envPrefix+"_") {
			_ = os.Unsetenv(name) // fails only for an invalid name
		}
	}
}

func run(args []string, std streams) int {
	parsed, code, done := parse(args, std)
	if done {
		return code
	}
	err := parsed.BindToProvider(interruptible)
	if err == nil {
		err = parsed.Run(std)
	}
	if err != nil {
		return report(std.err, err, pathOf(parsed.Selected()))
	}
	return 0
}

// parse reads the arguments. done is true if the program must end: the arguments were wrong, or
// asked for help.
func parse(args []string, std streams) (parsed *kong.Context, code int, done bool) {
	if parsed := parseServe(args, std); parsed != nil {
		return parsed, 0, false
	}
	parser, err := newParser(std, kong.Exit(func(status int) { code, done = status, true }))
	if err != nil {
		return nil, report(std.err, err, program), true // the grammar above is wrong
	}
	parsed, err = parser.Parse(args)
	switch {
	case done:
		return nil, code, true
	case err != nil:
		command, mistake := misuse(err)
		return nil, report(std.err, mistake, command), true
	}
	warnOfVariables(parser.Model, std)
	return parsed, 0, false
}

// parseServe parses the arguments of a good command serve, or returns nil: then the parser of all commands has
// something to say. It saves the time in which kong builds the model of twenty commands.
func parseServe(args []string, std streams) *kong.Context {
	if len(args) > 0 && args[0] != "serve" && !strings.HasPrefix(args[0], "-") {
		return nil
	}
	var serving struct {
		Serve serveCommand `cmd:"" default:"withargs"`
	}
	parser, err := newParserOf(&serving, std, kong.NoDefaultHelp())
	if err != nil {
		return nil
	}
	parsed, err := parser.Parse(args)
	if err != nil || hasUnknownVariable(parser.Model) {
		return nil
	}
	return parsed
}

// newParser returns the parser of all commands.
func newParser(std streams, more ...kong.Option) (*kong.Kong, error) {
	return newParserOf(&grammar{}, std, more...)
}

func newParserOf(commands any, std streams, more ...kong.Option) (*kong.Kong, error) {
	texts := words{
		"state_dir": defaultStateDir(), "defects": defects(), "invoker": defaultInvoker, "visitor": defaultVisitor, "callers": callers(),
		"shells": shells(), "completion_shells": strings.Join(completion.Shells(), ", "), "reach": reachHelp, "instance": instanceHelp, "recording": recordingHelp,
		"surfaces": surfaces(),
	}
	parser, err := kong.New(commands, append(append(more, texts.options()...),
		kong.Name(program),
		kong.Description("Google Cloud's metadata server, OAuth 2.0 token endpoint and IAM Credentials API, offline."),
		kong.DefaultEnvars(envPrefix),
		kong.Writers(std.out, std.err),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Help(printHelp),
	)...)
	if err != nil {
		return nil, err
	}
	return parser, restore(parser.Model)
}

// statusError is the exit status of exec's command. This program ends with the same status.
type statusError int

func (c statusError) Error() string { return fmt.Sprintf("the command ended with status %d", int(c)) }

// report prints an error of a command with its details and hint, and returns the exit code. The
// hint of a wrong usage is the command's help.
func report(w io.Writer, err error, command string) int {
	if status, ok := errors.AsType[statusError](err); ok {
		return int(status)
	}
	for _, part := range mistakes(err) {
		printError(w, part, command)
	}
	if absent, ok := errors.AsType[*notRunError](err); ok {
		return absent.status
	}
	if _, misused := errors.AsType[*usageError](err); misused {
		return exitUsage
	}
	return exitFailed
}

// printError prints one error with its details and hint.
func printError(w io.Writer, err error, command string) {
	_, _ = fmt.Fprintf(w, "%s: %v\n", program, err)
	var detailed interface{ Detail() string }
	if errors.As(err, &detailed) && detailed.Detail() != "" {
		_, _ = fmt.Fprintln(w, strings.TrimSuffix(detailed.Detail(), "\n"))
	}
	_, misused := errors.AsType[*usageError](err)
	var hinted interface{ Hint() string }
	switch {
	case errors.As(err, &hinted) && hinted.Hint() != "":
		_, _ = fmt.Fprintf(w, "hint: %s\n", hinted.Hint())
	case misused:
		_, _ = fmt.Fprintf(w, "hint: see %s --help\n", command)
	}
}

// mistakes returns the mistakes in a fixture that an error holds, or the error itself.
func mistakes(err error) []error {
	if several, ok := errors.AsType[*fixtures.SeveralError](err); ok {
		return several.Unwrap()
	}
	return []error{err}
}

// hintError is an error with a hint.
type hintError struct {
	message, hint string
	cause         error
}

func (e *hintError) Error() string { return e.message }

func (e *hintError) Unwrap() error { return e.cause }

// Hint says how to fix the error.
func (e *hintError) Hint() string { return e.hint }
