package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"gcp-metadata-emulator/server/background"
)

// detach starts this command again in the background, and waits until the emulator is ready.
func (c *serveCommand) detach(ctx context.Context, std streams) error {
	files, started, err := background.New(c.backgroundDir(), uuid.NewString())
	if err != nil {
		return &hintError{
			message: fmt.Sprintf("cannot keep the log of an emulator in the background: %v", err),
			hint:    "set XDG_STATE_HOME, or XDG_RUNTIME_DIR with --ephemeral, to a directory of your own", cause: err,
		}
	}
	defer started()
	program, err := os.Executable()
	if err != nil {
		files.Remove()
		return fmt.Errorf("find this program: %w", err)
	}
	arguments := append(os.Args[1:], "--detach=false", "--background="+string(files))
	command := exec.Command(program, arguments...) //nolint:gosec,noctx // this program, which outlives this process
	command.Args[0] = os.Args[0]
	if c.Fixture == stdinName {
		command.Stdin = std.in
	}
	run, err := background.Start(ctx, command, files)
	if err != nil {
		return notStarted(err, files, std)
	}
	_, err = fmt.Fprint(std.out, run.Output+run.URL+"\n")
	tellDetached(run, std)
	return err
}

// notStarted prints the messages of an emulator that has not started, and returns the error.
func notStarted(err error, files background.Files, std streams) error {
	defer files.Remove()
	if !errors.Is(err, background.ErrNotReady) {
		return fmt.Errorf("start an emulator in the background: %w", err)
	}
	if err := background.CopyLog(std.err, files); err != nil {
		return fmt.Errorf("read the log of the emulator: %w", err)
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		return statusError(exit.ExitCode())
	}
	return err
}

// tellDetached says how to use the emulator, and how to end it.
func tellDetached(run background.Run, std streams) {
	_, _ = fmt.Fprintf(std.err, "%s: serving in the background as process %d\n", program, run.Process)
	_, _ = fmt.Fprintf(std.err, "hint: use it with: %s; end it with: %s stop%s; its log: %[2]s logs%[3]s\n",
		howToUse(run.URL, run.Control), program, urlFlags(run.URL, ""))
}

// urlFlags returns the flags that lead commands to an emulator, with a space before each.
func urlFlags(base, control string) string {
	flags := ""
	if base != usualURL {
		flags += " --url " + base
	}
	if control != "" {
		flags += " --control-url " + control
	}
	return flags
}

// publish writes the record of this run in the background, as soon as it can sign.
func (c *serveCommand) publish(ctx context.Context, e *emulator, output string) error {
	if _, err := e.keys.Google().Active(ctx); err != nil {
		return fmt.Errorf("make the first signing key: %w", err)
	}
	run := background.Run{Process: os.Getpid(), URL: e.url.String(), Output: output, Started: time.Now()}
	if e.control != nil {
		run.Control = e.control.String()
	}
	return background.Publish(background.Files(c.Background), run)
}

// backgroundDir returns the directory for the files of this run.
func (c *serveCommand) backgroundDir() string {
	dirs := backgroundDirs()
	if c.Ephemeral {
		return dirs[len(dirs)-1]
	}
	return dirs[0]
}

// backgroundDirs returns the directories for files of emulators in the background: in the state
// directory, if there is one, and then in a directory that ends with the user's session.
func backgroundDirs() []string {
	const name = "background"
	var dirs []string
	if state := defaultStateDir(); state != "" {
		dirs = append(dirs, filepath.Join(state, name))
	}
	session := os.Getenv("XDG_RUNTIME_DIR")
	if filepath.IsAbs(session) {
		session = filepath.Join(session, program)
	} else {
		session = filepath.Join(os.TempDir(), program+"-"+strconv.Itoa(os.Getuid()))
	}
	return append(dirs, filepath.Join(session, name))
}

// inBackground returns the latest emulator in the background at a URL. A running emulator comes
// before an ended one.
func inBackground(at string) (found background.Run, ok bool) {
	for _, run := range background.All(backgroundDirs()...) {
		if canonicalURL(run.URL) == canonicalURL(at) && (!ok || run.IsRunning() || !found.IsRunning()) {
			found, ok = run, true
		}
	}
	return found, ok
}

// canonicalURL returns the URL of an emulator in the form that its record has.
func canonicalURL(text string) string {
	if path, isSocket := socketPath(text); isSocket {
		if absolute, err := filepath.Abs(path); err == nil {
			path = absolute
		}
		return socketURL(&net.UnixAddr{Name: path}).String()
	}
	base, err := baseOf(text)
	if err != nil {
		return text
	}
	if base.Hostname() == "localhost" {
		base.Host = net.JoinHostPort("127.0.0.1", base.Port())
	}
	return base.String()
}

// noneInBackground is the error for a URL at which no emulator was started in the background.
func noneInBackground(ctx context.Context, at string) error {
	var urls []string
	for _, run := range background.All(backgroundDirs()...) {
		if run.IsRunning() {
			urls = append(urls, run.URL)
		}
	}
	hint := "start one with: " + program + " serve --detach"
	if len(urls) > 0 {
		hint = "name another with --url: " + strings.Join(urls, ", ")
	}
	if _, err := (clientFlags{URL: at}).run(ctx); err == nil {
		hint = "the emulator that answers there was started without --detach: end it, and read its log, where it was started"
	}
	return &hintError{message: fmt.Sprintf("no emulator was started in the background at %q", at), hint: hint}
}

// emulatorAt describes the emulator that answers at an address, if any.
func emulatorAt(ctx context.Context, hostport string) (description string, ok bool) {
	at := "http://" + hostport
	if _, isSocket := socketPath(hostport); isSocket {
		at = hostport
	} else if host, port, err := net.SplitHostPort(hostport); err == nil {
		if address, err := netip.ParseAddr(host); host == "" || err == nil && address.IsUnspecified() {
			at = "http://" + net.JoinHostPort("127.0.0.1", port)
		}
	}
	const patience = 2 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, err := (clientFlags{URL: at}).run(ctx); err != nil {
		return "", false
	}
	if run, ok := inBackground(at); ok && run.IsRunning() {
		return fmt.Sprintf("an emulator already serves there in the background, as process %d: use it, end it with: %s stop%s", run.Process, program, urlFlags(run.URL, "")), true
	}
	return "an emulator already serves there: use it", true
}
