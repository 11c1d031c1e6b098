//go:build !unix

package cli

import (
	"os"
	"syscall"
)

// passedOn lists the signals that exec passes on to its command.
func passedOn() []os.Signal { return []os.Signal{os.Interrupt, syscall.SIGTERM} }

// ends reports whether a signal ends a process that does not handle it.
func ends(syscall.Signal) bool { return true }

// isSentToAll reports whether the command has received the signal too. A console sends an
// interrupt to all its processes.
func isSentToAll(received os.Signal, _ *os.Process) bool { return received == os.Interrupt }
