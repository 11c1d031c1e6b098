package integration_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// enterNamespace makes the command start in its own network namespace, which ends with its last
// process.
func enterNamespace(command *exec.Cmd) error {
	if os.Geteuid() != 0 {
		return errors.New("only root may make a network namespace")
	}
	attempt := exec.Command("ip", "link", "set", "lo", "up")
	attempt.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if output, err := attempt.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot make a network namespace: %w: %s", err, output)
	}
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	return nil
}

// endWithParent makes the command end when the process that started it ends.
func endWithParent(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// closeNamespace makes every address lead back to this machine, and records all arriving
// connections in the file of escapes.
func closeNamespace(escapes string) error {
	for _, arguments := range [][]string{
		{"link", "set", "lo", "up"},
		{"-4", "route", "add", "local", "0.0.0.0/0", "dev", "lo"},
	} {
		if output, err := exec.Command("ip", arguments...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %q: %w: %s", arguments, err, output)
		}
	}
	// A kernel without IPv6 needs no IPv6 route.
	_ = exec.Command("ip", "-6", "route", "add", "local", "::/0", "dev", "lo").Run()
	return layTripwires(escapes)
}
