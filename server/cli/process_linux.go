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

// endWithUs makes a command that is about to start end, as if it were asked to, when this program
// is killed. The kernel watches the thread that starts it, which has to live until done is called.
func endWithUs(command *exec.Cmd) (done func()) {
	runtime.LockOSThread()
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	return runtime.UnlockOSThread
}

// family is a command with everything that it has started, however far down.
type family struct {
	ended   chan ending   // gets one value, when the command has ended
	alone   chan struct{} // closed when nobody else is left
	earlier births        // of those who are not the command's
}

// births are the times at which processes started, by ID: one that gets the ID of another that has
// ended is not taken for it.
type births map[int]string

// startFamily starts a command whose streams are files. The kernel gives this process the children
// of those of its descendants that end before them. A shell that this program was started in the
// place of may have left it children as well, which are the shell's business.
func startFamily(command *exec.Cmd) (*family, error) {
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) // a kernel that cannot do so gives them to another
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

// collect waits for every child of this process: the command, and those that it was given.
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

// isOver tells whether nobody is left but earlier ones. Who ends while it looks may have left a child
// that it has not seen, so that it looks again.
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

// noChild is in the place of a process ID where this process has no children.
const noChild = -1

// nextChild waits for a child to end, or with WNOHANG tells 0 where there are only others.
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

// endOthers ends those who are left when the command has ended. Who is about to end may do so; the
// others are asked to, and killed when they do not, or when another signal comes.
func (f *family) endOthers(signals <-chan os.Signal, std streams) {
	const (
		lingering = time.Second / 2
		patience  = 2 * time.Second
		pause     = time.Second / 10
		tries     = 20 // who makes others in the meantime needs more than one
	)
	if f.isAlone(lingering, signals) {
		return
	}
	left := f.others()
	_, _ = fmt.Fprintf(std.err, "%s: ending what the command has left running: %s\n", program, names(left))
	send(left, syscall.SIGTERM, syscall.SIGCONT) // who is stopped hears the first by the second
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

// isAlone tells whether everybody has ended, for which it waits until a time is over or a signal comes.
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

// process is one that runs.
type process struct {
	id, parent int
	name       string
	start      string // in ticks since the system started
}

// others are the processes that this one has started, and those that they have, without the ones
// that have ended, and without earlier ones and what these have started.
func (f *family) others() []process {
	entries, _ := os.ReadDir("/proc") // without it there is nothing to see
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

// readProcess reads of a process that has not ended, where the ID is one
// (https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html).
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
	at := strings.LastIndexByte(text, ')') // a name may have one too
	if at < 0 {
		return process{}, false
	}
	const state, parent, start = 0, 1, 19 // places after the name
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

// send sends signals to processes, which may have ended already.
func send(processes []process, signals ...syscall.Signal) {
	for _, one := range processes {
		for _, number := range signals {
			_ = syscall.Kill(one.id, number)
		}
	}
}
