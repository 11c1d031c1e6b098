package background

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"time"
)

// ErrNotReady means that a process has ended before its emulator was ready. Its log says why.
var ErrNotReady = errors.New("the emulator has ended before it was ready")

// Start starts a command without a terminal, and waits until its emulator is ready. The command has
// to hold the lock of files, and to publish its run. If ctx ends first, Start ends the command. The
// caller chooses the command's standard input.
func Start(ctx context.Context, command *exec.Cmd, files Files) (Run, error) {
	const private = 0o600
	log, err := os.OpenFile(files.Log(), os.O_APPEND|os.O_WRONLY, private)
	if err != nil {
		return Run{}, err
	}
	defer func() { _ = log.Close() }() // nothing was written
	command.Stdout, command.Stderr, command.SysProcAttr = log, log, apart()
	if err := command.Start(); err != nil {
		return Run{}, err
	}
	ended := make(chan struct{})
	var endErr error // valid once ended is closed
	go func() {
		endErr = command.Wait()
		close(ended)
	}()
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for !files.IsReady() {
		select {
		case <-ticker.C:
		case <-ended:
			return Run{}, errors.Join(ErrNotReady, endErr)
		case <-ctx.Done():
			_ = end(command.Process) // it may have ended already
			<-ended
			return Run{}, context.Cause(ctx)
		}
	}
	return Read(files)
}
