package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"time"

	"gcp-metadata-emulator/scripts/benchmark/ratio"
)

// tick is the unit of times in /proc. It has been the same on every Linux architecture for
// programs in user space since Linux 2.6 (proc(5)).
const tick = 10 * time.Millisecond

// cpu returns the CPU time that the process has used, in user space and in the kernel. It returns
// 0 on systems other than Linux.
func (p *process) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return parseCPU(stat)
}

// parseCPU reads the fields utime and stime of /proc/PID/stat, the 14th and the 15th. The second
// field is the name of the command in parentheses, which can contain anything.
func parseCPU(stat []byte) (time.Duration, error) {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const utime, stime = 14 - 3, 15 - 3 // the third field is the first after the name
	if len(fields) <= stime {
		return 0, errors.New("the process's stat has too few fields")
	}
	var ticks int64
	for _, field := range [][]byte{fields[utime], fields[stime]} {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("the process's CPU time: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}

// cpuRatio compares the CPU time per request of two servers.
func cpuRatio(ours, theirs *subject) string {
	if slices.Contains(ours.cpus, 0) || slices.Contains(theirs.cpus, 0) {
		return "not available" // another system, or a round shorter than a tick
	}
	return ratio.Of(ours.cpus, theirs.cpus).String()
}
