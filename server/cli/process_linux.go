package cli

import (
	"os/exec"
	"runtime"
	"syscall"
)

// endWithUs makes a command that is about to start end, as if it were asked to, when this program
// is killed. The kernel watches the thread that starts it, which has to live until done is called.
func endWithUs(command *exec.Cmd) (done func()) {
	runtime.LockOSThread()
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	return runtime.UnlockOSThread
}
