// Package cli is the command line: commands, flags, environment, files that users name,
// and exit codes.
//
// One definition of each flag gives its name, its environment variable, its default and
// its help. What a command does is mostly done elsewhere; only this package reads flags
// and the environment.
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
)

const (
	program   = "gcp-metadata-emulator"
	envPrefix = "GCP_METADATA_EMULATOR"

	exitFailed = 1
	exitUsage  = 2
)

// grammar is every command.
type grammar struct {
	Serve       serveCommand       `cmd:"" default:"withargs" help:"Serve until interrupted. This is what happens without a command."`
	Exec        execCommand        `cmd:"" help:"Serve on a free port while a command runs with an environment that brings it here."`
	Env         envCommand         `cmd:"" help:"Print that environment for a shell."`
	Credentials credentialsCommand `cmd:"" help:"Write a credential file that works against a running emulator."`
	Token       tokenCommand       `cmd:"" help:"Print a token that a running emulator issues."`
	Verify      verifyCommand      `cmd:"" help:"Tell what a token says, or why it is refused."`
	Fixture     fixtureCommand     `cmd:"" help:"Check a fixture, show the world that it describes, or print the schema of fixtures."`
	Ready       readyCommand       `cmd:"" help:"End with status 0 when a running emulator is ready, for container health checks."`
	Doctor      doctorCommand      `cmd:"" help:"Tell which client library finds which server, and why."`
	Version     versionCommand     `cmd:"" help:"Print the version."`
}

// streams are what a command reads and writes.
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

// interruptible is the context of the commands that end when they are interrupted. For exec, which
// asks for none, no signal is taken before it takes them all: its command is to answer them.
func interruptible() (context.Context, error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	return ctx, nil
}

// forgetEmptyVariables makes a variable of ours that is set to nothing one that is not set,
// as in a compose file that passes on what its caller may have set.
func forgetEmptyVariables() {
	for _, entry := range os.Environ() {
		if name, value, _ := strings.Cut(entry, "="); value == "" && strings.HasPrefix(name, envPrefix+"_") {
			_ = os.Unsetenv(name) // it is there
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
		return report(std.err, err)
	}
	return 0
}

// parse reads the arguments. It is done where they were wrong, or asked for help.
func parse(args []string, std streams) (parsed *kong.Context, code int, done bool) {
	parser, err := kong.New(&grammar{},
		kong.Name(program),
		kong.Description("Google Cloud's metadata server, OAuth 2.0 token endpoint and IAM Credentials API, offline."),
		kong.DefaultEnvars(envPrefix),
		kong.Writers(std.out, std.err),
		kong.Exit(func(status int) { code, done = status, true }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Vars{"state_dir": defaultStateDir(), "defects": defects()},
	)
	if err != nil {
		return nil, report(std.err, err), true // the grammar above is wrong
	}
	parsed, err = parser.Parse(args)
	switch {
	case done:
		return nil, code, true
	case err != nil:
		return nil, report(std.err, &usageError{errors.New(usage(err.Error()))}), true
	}
	return parsed, 0, false
}

// usage says in words of our own what the parser has against a command line.
func usage(message string) string {
	if argument, ok := strings.CutPrefix(message, "unexpected argument "); ok {
		argument, proposal, proposed := strings.Cut(argument, ", did you mean ")
		message = fmt.Sprintf("there is no command or argument %q", argument)
		if proposed {
			message += "; did you mean " + proposal
		}
		return message
	}
	if missing, ok := strings.CutPrefix(message, "expected "); ok {
		return "the command line lacks " + missing
	}
	if flag, ok := strings.CutSuffix(message, ` value but got "EOL" (<EOL>)`); ok {
		flag, _, _ = strings.Cut(flag, ": expected ")
		return fmt.Sprintf("%q lacks a value", flag)
	}
	return message
}

// usageError says that the command line cannot be understood.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

// Hint says where the command line is explained.
func (e *usageError) Hint() string { return "see " + program + " --help" }

// statusError is the status of a command that was run, which becomes this program's own.
type statusError int

func (c statusError) Error() string { return fmt.Sprintf("the command ended with status %d", int(c)) }

// report tells a person what went wrong and what to do, and returns the exit code.
func report(w io.Writer, err error) int {
	if status, ok := errors.AsType[statusError](err); ok {
		return int(status)
	}
	_, _ = fmt.Fprintf(w, "%s: %v\n", program, err)
	var detailed interface{ Detail() string }
	if errors.As(err, &detailed) && detailed.Detail() != "" {
		_, _ = fmt.Fprintln(w, strings.TrimSuffix(detailed.Detail(), "\n"))
	}
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) && hinted.Hint() != "" {
		_, _ = fmt.Fprintf(w, "hint: %s\n", hinted.Hint())
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	return exitFailed
}

// hintError is an error with advice.
type hintError struct {
	message, hint string
	cause         error
}

func (e *hintError) Error() string { return e.message }

func (e *hintError) Unwrap() error { return e.cause }

// Hint says what to do about it.
func (e *hintError) Hint() string { return e.hint }
