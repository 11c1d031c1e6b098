//go:build unix

package cli

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// passedOn are the signals that are the command's to answer.
func passedOn() []os.Signal {
	return []os.Signal{
		syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT,
		syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGCONT,
	}
}

// ends tells whether a signal ends a process that does not answer it.
func ends(number syscall.Signal) bool { return number != syscall.SIGCONT }

// isSentToAll tells whether a signal has come from the keyboard of the terminal, which sends it to
// the command too, unless that has left our group. One that was sent to this process alone, while it
// is in the foreground, cannot be told from that.
func isSentToAll(received os.Signal, command *os.Process) bool {
	if received != syscall.SIGINT && received != syscall.SIGQUIT {
		return false
	}
	group, err := unix.Getpgid(command.Pid)
	return err == nil && group == unix.Getpgrp() && isForeground()
}

// isForeground tells whether this process's group is the one to which the terminal belongs at the
// moment.
func isForeground() bool {
	terminal, err := unix.Open("/dev/tty", unix.O_RDONLY|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false // there is none
	}
	defer func() { _ = unix.Close(terminal) }() // it was only asked
	group, err := unix.IoctlGetInt(terminal, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}
