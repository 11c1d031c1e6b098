package cli

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// endWithUs makes a command get SIGTERM if this program is killed. Call it before the command
// starts. The kernel watches the thread that starts the command, so this thread must live until
// done is called.
func endWithUs(command *exec.Cmd) (done func()) {
	runtime.LockOSThread()
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	return runtime.UnlockOSThread
}

// family is a command with all its descendants.
type family struct {
	ended   chan ending   // gets one value when the command has ended
	alone   chan struct{} // closed when no descendant is left
	earlier births        // processes that are not the command's
}

// births holds the start times of processes by ID. Start times tell apart two processes that used
// the same ID.
type births map[int]string

// startFamily starts a command with files as streams. This process becomes the subreaper: the
// kernel makes it the parent of orphaned descendants. If a shell replaced itself with this program,
// the program may already have children, which are not the command's.
func startFamily(command *exec.Cmd) (*family, error) {
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) // without kernel support, orphans get another parent
	f := &family{ended: make(chan ending, 1), alone: make(chan struct{}), earlier: births{}}
	for _, one := range f.others() {
		f.earlier[one.id] = one.start
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	go f.collect(command.Process.Pid)
	return f, nil
}

// collect waits for all children of this process: the command and the orphans.
func (f *family) collect(command int) {
	defer close(f.alone)
	child, status := nextChild(0)
	for child != command && child != noChild {
		child, status = nextChild(0)
	}
	last := ending{status: statusOf(status), alone: f.isOver()}
	f.ended <- last
	for isOver := last.alone; !isOver; isOver = f.isOver() {
		_, _ = nextChild(0)
	}
}

// isOver reports whether no process of the command is left. If a process ends during the check,
// it may leave a child that the check has not seen, so isOver checks again.
func (f *family) isOver() bool {
	for {
		child, _ := nextChild(syscall.WNOHANG)
		for child > 0 {
			child, _ = nextChild(syscall.WNOHANG)
		}
		if child == noChild {
			return true
		}
		if len(f.others()) > 0 {
			return false
		}
		if child, _ = nextChild(syscall.WNOHANG); child <= 0 {
			return true
		}
	}
}

// noChild means: this process has no children.
const noChild = -1

// nextChild waits for a child to end. With WNOHANG it returns 0 if no child has ended.
func nextChild(options int) (child int, status syscall.WaitStatus) {
	for {
		child, err := syscall.Wait4(-1, &status, options, nil)
		if err == nil {
			return child, status
		}
		if !errors.Is(err, syscall.EINTR) {
			return noChild, status
		}
	}
}

// endOthers ends the processes that the command left behind. It first gives them time to end on
// their own, then sends SIGTERM, and finally SIGKILL. Another signal ends the waiting.
func (f *family) endOthers(signals <-chan os.Signal, std streams) {
	const (
		lingering = time.Second / 2
		patience  = 2 * time.Second
		pause     = time.Second / 10
		tries     = 20 // processes may start others in the meantime
	)
	if f.isAlone(lingering, signals) {
		return
	}
	left := f.others()
	_, _ = fmt.Fprintf(std.err, "%s: ending processes that the command left running: %s\n", program, names(left))
	send(left, syscall.SIGTERM, syscall.SIGCONT) // a stopped process handles SIGTERM after SIGCONT
	if f.isAlone(patience, signals) {
		return
	}
	for range tries {
		send(f.others(), syscall.SIGKILL)
		if f.isAlone(pause, nil) {
			return
		}
	}
	_, _ = fmt.Fprintf(std.err, "%s: cannot end %s\n", program, names(f.others()))
}

// isAlone waits until all processes have ended, or until the time is over or a signal arrives. It
// reports whether all have ended.
func (f *family) isAlone(patience time.Duration, signals <-chan os.Signal) bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-f.alone:
		return true
	case <-signals:
	case <-timer.C:
	}
	return false
}

// process is a running process.
type process struct {
	id, parent int
	name       string
	start      string // in clock ticks since the system started
}

// others returns the running descendants of this process, except earlier processes and their
// descendants.
func (f *family) others() []process {
	entries, _ := os.ReadDir("/proc") // without /proc no process is visible
	children := map[int][]process{}
	for _, entry := range entries {
		if one, ok := readProcess(entry.Name()); ok && f.earlier[one.id] != one.start {
			children[one.parent] = append(children[one.parent], one)
		}
	}
	found := slices.Clone(children[os.Getpid()])
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i].id]...)
	}
	return found
}

// readProcess reads /proc/ID/stat
// (https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html). ok is false if id is not a
// process ID or the process has ended.
func readProcess(id string) (one process, ok bool) {
	number, err := strconv.Atoi(id)
	if err != nil {
		return process{}, false
	}
	line, err := os.ReadFile("/proc/" + id + "/stat")
	if err != nil {
		return process{}, false
	}
	_, text, _ := strings.Cut(string(line), "(")
	at := strings.LastIndexByte(text, ')') // the name may contain one too
	if at < 0 {
		return process{}, false
	}
	const state, parent, start = 0, 1, 19 // field numbers after the name
	fields := strings.Fields(text[at+1:])
	if len(fields) <= start || fields[state] == "Z" {
		return process{}, false
	}
	one = process{id: number, name: text[:at], start: fields[start]}
	one.parent, err = strconv.Atoi(fields[parent])
	return one, err == nil
}

func names(processes []process) string {
	list := make([]string, len(processes))
	for i, one := range processes {
		list[i] = fmt.Sprintf("%s (%d)", one.name, one.id)
	}
	return strings.Join(list, ", ")
}

// send sends signals to processes. Errors are ignored, because a process may have ended already.
func send(processes []process, signals ...syscall.Signal) {
	for _, one := range processes {
		for _, number := range signals {
			_ = syscall.Kill(one.id, number)
		}
	}
}
