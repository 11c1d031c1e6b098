package main

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// cpu returns the CPU time that the process has used, in user space and in the kernel.
func (p *process) cpu() (time.Duration, error) {
	const sinceStart = 2 // of the clocks of a process, the one that the scheduler keeps (clock_getcpuclockid(3))
	var used unix.Timespec
	if err := unix.ClockGettime(int32(^p.pid<<3|sinceStart), &used); err != nil { //nolint:gosec // IDs of processes are small
		return 0, fmt.Errorf("the process's CPU time: %w", err)
	}
	return time.Duration(used.Nano()), nil
}
