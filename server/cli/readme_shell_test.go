package cli_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// shell is a bash in a network of its own, in which a README's addresses are free and nothing else
// can be reached.
type shell struct {
	folder    string // for the output of other terminals
	in        io.WriteCloser
	out       *bufio.Reader
	process   *exec.Cmd
	terminals int
}

// endOfOutput is a line that no command prints.
const endOfOutput = "-- end of the output of a command of a README --"

// patience limits a wait that would otherwise have no end. It is far longer than any step takes on a
// busy machine.
const patience = 30 * time.Minute

// isolated returns a shell command with a network and processes of its own, which all end with it.
func isolated(ctx context.Context, command string) *exec.Cmd {
	arguments := []string{"--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", "ip link set lo up && " + command}
	if os.Geteuid() != 0 {
		arguments = append([]string{"--map-root-user"}, arguments...)
	}
	return exec.CommandContext(ctx, "unshare", arguments...)
}

// startShell starts a shell in a directory.
func startShell(ctx context.Context, dir, folder string, environment []string) (*shell, error) {
	process := isolated(ctx, "exec bash --noprofile --norc")
	process.Dir, process.Env, process.WaitDelay = dir, environment, time.Second
	in, err := process.StdinPipe()
	if err != nil {
		return nil, err
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	process.Stdout, process.Stderr = writer, writer
	if err := process.Start(); err != nil {
		return nil, err
	}
	_ = writer.Close()
	s := &shell{folder: folder, in: in, out: bufio.NewReader(reader), process: process}
	_, err = s.succeed("pids=; close() { for pid in $pids; do kill -- -$pid || true; while kill -0 -- -$pid; do sleep 0.02; done; done 2>/dev/null; pids=; }")
	return s, err
}

// succeed runs a command that should succeed, in all of its lines, and returns its output and errors.
func (s *shell) succeed(command string) (string, error) {
	output, _, err := s.run("set -e\n", command)
	return output, err
}

// fail runs a command that should fail, and returns its output and errors.
func (s *shell) fail(command string) (string, error) {
	output, status, err := s.run("", command)
	if err == nil && status == "0" {
		err = errors.New("the command succeeds")
	}
	return output, err
}

// run runs a command after a preparation, and returns its output, its errors and its status.
func (s *shell) run(preparation, command string) (said, status string, err error) {
	script := fmt.Sprintf("%seval %s </dev/null\nstatus=$?; set +e; echo; echo %s $status\n", preparation, quoted(command), quoted(endOfOutput))
	if _, err := io.WriteString(s.in, script); err != nil {
		return "", "", err
	}
	var output strings.Builder
	late := time.AfterFunc(patience, func() { _ = s.process.Cancel() })
	defer late.Stop()
	for {
		line, err := s.out.ReadString('\n')
		if status, ok := strings.CutPrefix(line, endOfOutput); ok {
			return strings.TrimSuffix(output.String(), "\n"), strings.TrimSpace(status), nil
		}
		output.WriteString(line)
		if err != nil {
			return output.String(), "", errors.New("the command fails, or does not end")
		}
	}
}

// open runs steps in other terminals, instead of those of the last call. It waits until the output
// of each is as wanted.
func (s *shell) open(ctx context.Context, steps []step) error {
	if _, err := s.succeed("close"); err != nil {
		return err
	}
	for _, next := range steps {
		s.terminals++
		file := filepath.Join(s.folder, fmt.Sprintf("terminal-%d", s.terminals))
		// A terminal is a process group, so that its programs end with it.
		command := fmt.Sprintf("set -m\n{\n%s\n} >%s 2>&1 &\npids=\"$pids $!\"\nset +m", next.command, quoted(file))
		if out, err := s.succeed(command); err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
		if err := awaitOutput(ctx, file, next); err != nil {
			return err
		}
	}
	return nil
}

// awaitOutput waits until a file has the output of a step.
func awaitOutput(ctx context.Context, file string, of step) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		content, err := os.ReadFile(file)
		if err == nil && matches(of.want, string(content)) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%q prints\n%s, want\n%s", of.command, content, of.want)
		}
	}
}

// end ends the shell and its terminals.
func (s *shell) end() error {
	_ = s.in.Close()
	_, err := io.Copy(io.Discard, s.out)
	return errors.Join(err, s.process.Wait())
}

// quoted quotes a text for the shell.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
