//go:build !unix

package cli

import (
	"os"
	"syscall"
)

// passedOn are the signals that are the command's to answer.
func passedOn() []os.Signal { return []os.Signal{os.Interrupt, syscall.SIGTERM} }

// ends tells whether a signal ends a process that does not answer it.
func ends(syscall.Signal) bool { return true }

// isSentToAll tells whether a signal has reached the command too: a console sends it to everybody.
func isSentToAll(received os.Signal, _ *os.Process) bool { return received == os.Interrupt }
