package background

import (
	"context"
	"io"
	"os"
	"sync"
	"time"
)

// maxLog is the size at which a log is cut.
const maxLog = 8 << 20

// Log is the log of the present process's run, which the process's standard error appends to. When
// it gets too long, its content moves to an older log, and the log begins anew.
type Log struct {
	files Files
	most  int64

	mu   sync.Mutex
	out  *os.File
	size int64
}

// NewLog returns the log of files that out appends to.
func NewLog(files Files, out *os.File) *Log { return &Log{files: files, out: out, most: maxLog} }

// Write appends to the log.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size += int64(len(p)); l.size > l.most {
		l.cut()
		l.size = int64(len(p))
	}
	return l.out.Write(p)
}

// cut moves the content to the older log. Programs that have opened the log keep the same file.
func (l *Log) cut() {
	const private = 0o600
	content, err := os.ReadFile(l.files.Log())
	if err == nil {
		err = os.WriteFile(l.files.Older(), content, private)
	}
	if err == nil {
		_ = os.Truncate(l.files.Log(), 0) // if it fails, the log gets longer
	}
}

// CopyLog writes the whole log of a run.
func CopyLog(w io.Writer, files Files) error {
	for _, path := range []string{files.Older(), files.Log()} {
		content, err := os.ReadFile(path)
		if err != nil && !isMissing(err) {
			return err
		}
		if _, err := w.Write(content); err != nil {
			return err
		}
	}
	return nil
}

// FollowLog writes the whole log of a run, and then each addition, until the emulator's process or
// ctx ends. The log may be cut, replaced or removed meanwhile.
func FollowLog(ctx context.Context, w io.Writer, run Run) error {
	if older, err := os.ReadFile(run.files.Older()); err == nil {
		if _, err := w.Write(older); err != nil {
			return err
		}
	}
	follower := follower{path: run.files.Log(), out: w}
	defer follower.close()
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		isRunning := run.IsRunning() // before the last look
		if err := follower.copy(); err != nil || !isRunning {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// follower copies the additions to a file.
type follower struct {
	path string
	out  io.Writer
	file *os.File // nil: not open
	at   int64
}

// copy writes everything new.
func (f *follower) copy() error {
	if err := f.drain(); err != nil {
		return err
	}
	if !f.isReplaced() {
		return nil
	}
	f.close()
	file, err := os.Open(f.path)
	if isMissing(err) {
		return nil // it may come back
	}
	if err != nil {
		return err
	}
	f.file, f.at = file, 0
	return f.drain()
}

// drain writes the unwritten rest of the open file.
func (f *follower) drain() error {
	if f.file == nil {
		return nil
	}
	info, err := f.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() < f.at { // it was cut
		f.at = 0
	}
	written, err := io.Copy(f.out, io.NewSectionReader(f.file, f.at, info.Size()-f.at))
	f.at += written
	return err
}

// isReplaced reports whether the path leads to another file than the open one.
func (f *follower) isReplaced() bool {
	if f.file == nil {
		return true
	}
	open, openErr := f.file.Stat()
	present, presentErr := os.Stat(f.path)
	return presentErr == nil && (openErr != nil || !os.SameFile(open, present))
}

func (f *follower) close() {
	if f.file != nil {
		_ = f.file.Close() // nothing was written
		f.file = nil
	}
}
