package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

// child is a command to run.
type child struct {
	command, environment []string

	grace time.Duration // how long it may take to end after a signal; zero: as long as it likes
}

// run runs the command, and then ends its remaining processes. It passes signals on to the command.
// If a signal arrives before the command starts, it does not start the command.
func (c child) run(signals <-chan os.Signal, std streams) error {
	child := exec.Command(c.command[0], c.command[1:]...) //nolint:gosec,noctx // the user's own command, which no context may kill
	child.Env = c.environment
	child.Stdin, child.Stdout, child.Stderr = std.in, std.out, std.err

	if number := early(signals); number != 0 {
		return statusError(bySignal + int(number))
	}
	defer endWithUs(child)()
	family, err := startFamily(child)
	if err != nil {
		return notRun(c.command[0], err)
	}
	var late <-chan time.Time
	for {
		select {
		case received := <-signals:
			if late == nil {
				late = c.deadline(received)
			}
			if !isSentToAll(received, child.Process) {
				_ = child.Process.Signal(received) // the command may have ended already
			}
		case <-late:
			_, _ = fmt.Fprintf(std.err, "%s: killing the command, which has not ended within %s\n", program, c.grace)
			_ = child.Process.Kill() // the command may have ended already
		case last := <-family.ended:
			if !last.alone {
				family.endOthers(signals, std)
			}
			return last.status
		}
	}
}

// notRunError says that a command did not start.
type notRunError struct {
	hintError
	status int // the exit status of a shell in the same case
}

// The exit statuses of a shell if it cannot run or find its command (POSIX.1-2024, Shell Command
// Language, 2.8.2).
const (
	cannotRun = 126
	notFound  = 127
)

func notRun(command string, err error) error {
	status, hint := cannotRun, "check that the file is a program for this machine, and that you may run it"
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		status, hint = notFound, "check that the command is in PATH; its arguments follow it: -- COMMAND ARG..."
	}
	return &notRunError{
		hintError: hintError{message: fmt.Sprintf("cannot run %q: %v", command, rootCause(err)), hint: hint, cause: err},
		status:    status,
	}
}

// early returns a signal that has already arrived and would have ended the command, or 0.
func early(signals <-chan os.Signal) syscall.Signal {
	for {
		select {
		case received := <-signals:
			if number, ok := received.(syscall.Signal); ok && ends(number) {
				return number
			}
		default:
			return 0
		}
	}
}

// deadline returns when the command must have ended after a signal, or nil if it need not end.
func (c child) deadline(received os.Signal) <-chan time.Time {
	if c.grace == 0 || !isEnding(received) {
		return nil
	}
	return time.After(c.grace)
}

// isEnding reports whether a signal asks a program to end.
func isEnding(received os.Signal) bool {
	return received == syscall.SIGTERM || received == syscall.SIGINT
}

// ending describes how a command ended.
type ending struct {
	status error // nil: status 0
	alone  bool  // it left no processes behind
}

// bySignal is added to a signal's number to form the exit status.
const bySignal = 128

// statusOf returns the exit status of a command, or 128+N if signal N ended it.
func statusOf(status syscall.WaitStatus) error {
	switch {
	case status.Signaled():
		return statusError(bySignal + int(status.Signal()))
	case status.ExitStatus() != 0:
		return statusError(status.ExitStatus())
	default:
		return nil
	}
}

// heard returns the signals to pass on. Signals that were ignored when this program started, as
// under nohup, stay ignored for the command too.
func heard() []os.Signal { return slices.DeleteFunc(passedOn(), signal.Ignored) }
