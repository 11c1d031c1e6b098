//go:build !linux

package cli

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// endWithUs does nothing: a command survives if this program is killed.
func endWithUs(*exec.Cmd) (done func()) { return func() {} }

// family is a command. Its descendants are not known on this system.
type family struct {
	ended chan ending // gets one value when the command has ended
}

func startFamily(command *exec.Cmd) (*family, error) {
	if err := command.Start(); err != nil {
		return nil, err
	}
	f := &family{ended: make(chan ending, 1)}
	go func() { f.ended <- ending{status: exitStatus(command.Wait()), alone: true} }()
	return f, nil
}

func exitStatus(err error) error {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &exit):
		return fmt.Errorf("wait for the command: %w", err)
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok {
		return statusOf(status)
	}
	return statusError(exit.ExitCode())
}

// endOthers does nothing, because descendants are not known.
func (*family) endOthers(<-chan os.Signal, streams) {}
