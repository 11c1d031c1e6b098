//go:build unix

package cli

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// passedOn lists the signals that exec passes on to its command.
func passedOn() []os.Signal {
	return []os.Signal{
		syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT,
		syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGCONT,
	}
}

// ends reports whether a signal ends a process that does not handle it.
func ends(number syscall.Signal) bool { return number != syscall.SIGCONT }

// isSentToAll reports whether the signal came from the terminal's keyboard. The terminal sends it
// to the command too, unless the command has left this process group. A signal sent only to this
// process, while it is in the foreground, looks the same.
func isSentToAll(received os.Signal, command *os.Process) bool {
	if received != syscall.SIGINT && received != syscall.SIGQUIT {
		return false
	}
	group, err := unix.Getpgid(command.Pid)
	return err == nil && group == unix.Getpgrp() && isForeground()
}

// isForeground reports whether this process group is the terminal's foreground group.
func isForeground() bool {
	terminal, err := unix.Open("/dev/tty", unix.O_RDONLY|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false // there is no terminal
	}
	defer func() { _ = unix.Close(terminal) }() // nothing was written
	group, err := unix.IoctlGetInt(terminal, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}
