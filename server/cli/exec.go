package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"gcp-metadata-emulator/server/reach"
)

type execCommand struct {
	Listen string `default:"127.0.0.1:0" env:"GCP_METADATA_EMULATOR_EXEC_LISTEN" placeholder:"ADDR" help:"Address to serve on (default: a free port on 127.0.0.1)."`
	Reach  string `enum:"env,proxy,takeover" default:"env" help:"How the command finds the emulator: through environment variables (env), also as its proxy for host names that are compiled in (proxy), or at the addresses of Google's servers (takeover, as with serve --takeover; run it through scripts/namespace)."`

	Instance string `placeholder:"NAME" help:"Instance whose metadata the command gets (default: the fixture's first instance)."`

	emulatorFlags `embed:""`

	Command []string `arg:"" passthrough:"" placeholder:"COMMAND" help:"Command and its arguments, after --."`
}

// Run serves while the command runs, and returns the command's status.
func (c *execCommand) Run(std streams) error {
	command := c.Command
	if command[0] == "--" {
		command = command[1:]
	}
	if len(command) == 0 || command[0] == "" {
		return &usageError{errors.New("missing command after \"--\"")}
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, heard()...)
	defer signal.Stop(signals)
	serving, stop := context.WithCancel(context.Background()) // a signal must not stop the emulator: the command handles it
	defer stop()
	addresses := oneAddress(c.Listen, c.Instance)
	if c.Reach == reachTakeover {
		giveBack, err := takeOver(std)
		if err != nil {
			return err
		}
		defer giveBack()
		addresses = addresses.withTakeover()
	}
	e, err := c.start(serving, addresses, nil, c.logger(slog.LevelWarn, std)) // at warn, because the terminal belongs to the command
	if err != nil {
		return err
	}
	err = c.runCommand(e, signals, command, std)
	stop()
	return errorsFirst(err, <-e.ended)
}

// runCommand runs the command and waits for it to end.
func (c *execCommand) runCommand(e *emulator, signals <-chan os.Signal, command []string, std streams) error {
	own, err := newTemporary()
	if err != nil {
		return err
	}
	defer own.remove() // it contains copies of the emulator's tokens
	restoreEnvironment()
	target, err := c.target(e, own.path)
	if err != nil {
		return err
	}
	set, unset := append(target.Variables(), reach.ForCommand(command[0])...), reach.Obstacles()
	if c.Reach == reachTakeover {
		hosts, err := writeHosts(own.path)
		if err != nil {
			return err
		}
		warnOfNames(hosts.Value, std)
		set, unset = target.Takeover()
		set = append(set, hosts)
	}
	if e.secure == nil {
		unset = append(unset, reach.TLSVariable) // set by an emulator around this one
	}
	return runChild(signals, command, childEnvironment(target, set, unset, std), std)
}

// target describes the emulator to the command. Files for the command go into the temporary
// directory.
func (c *execCommand) target(e *emulator, temporary string) (reach.Target, error) {
	target := reach.Target{
		URL:          e.url,
		ProjectID:    e.world.Project.ID,
		GcloudConfig: filepath.Join(temporary, "gcloud"),
		NoProxy:      noProxy(),
	}
	if e.control != nil {
		target.ControlURL = e.control.String()
	}
	if e.secure != nil {
		target.TLSURL = e.secure.String()
	}
	err := os.Mkdir(target.GcloudConfig, 0o700)
	if err == nil && c.Reach != reachEnv {
		target.Proxy, err = c.throughProxy(e, temporary)
	}
	return target, err
}

// throughProxy returns the emulator as a proxy. Everybody can read the files with the trusted
// roots, because the command may run programs as other users.
func (c *execCommand) throughProxy(e *emulator, temporary string) (*reach.Proxy, error) {
	authority, err := e.keys.Authority()
	if err != nil {
		return nil, err
	}
	const passable = 0o711
	if err := os.Chmod(temporary, passable); err != nil {
		return nil, err
	}
	return throughProxy(temporary, authority.Certificate())
}

// childEnvironment returns the caller's environment with the variables set and the obstacles
// removed.
func childEnvironment(target reach.Target, variables []reach.Variable, obstacles []string, std streams) []string {
	tellGcloud(std)
	caller := reach.NewEnvironment(os.Environ())
	environment := slices.DeleteFunc(os.Environ(), func(entry string) bool {
		name, value, _ := strings.Cut(entry, "=")
		isObstacle := target.IsObstacle(name, value, obstacles)
		if isObstacle && value != "" {
			_, _ = fmt.Fprintf(std.err, "%s: ignoring %s: it would lead away from the emulator\n", program, name)
		}
		return isObstacle || slices.ContainsFunc(variables, func(v reach.Variable) bool { return v.Name == name })
	})
	for _, variable := range append(variables, caller.Record(variables)) {
		environment = append(environment, variable.Name+"="+variable.Value)
	}
	warnOfUserFiles(std)
	return environment
}

// tellGcloud tells the user that the command does not use the caller's configuration of gcloud,
// if there is one.
func tellGcloud(std streams) {
	home, _ := os.UserHomeDir() // without HOME, the directory does not exist
	folder := cmp.Or(os.Getenv("CLOUDSDK_CONFIG"), filepath.Join(home, ".config", "gcloud"))
	if _, err := os.Stat(folder); err == nil {
		_, _ = fmt.Fprintf(std.err, "%s: ignoring gcloud's configuration in %q: the command gets its own\n", program, folder)
	}
}

// warnOfUserFiles names the user's files that libraries read whatever the environment says.
func warnOfUserFiles(std streams) {
	for _, file := range reach.UserFiles() {
		_, _ = fmt.Fprintf(std.err, "%s: %s prefer %q to a metadata server\n"+
			"hint: move the file or, if it is below HOME, set another HOME\n", program, file.Readers, file.Path)
	}
}

// runChild runs a command and ends the processes that it leaves behind. It passes signals on to
// the command. A signal that arrives before the command starts prevents the start.
func runChild(signals <-chan os.Signal, command, environment []string, std streams) error {
	child := exec.Command(command[0], command[1:]...) //nolint:gosec,noctx // the user's own command, which no context may kill
	child.Env = environment
	child.Stdin, child.Stdout, child.Stderr = std.in, std.out, std.err

	if number := early(signals); number != 0 {
		return statusError(bySignal + int(number))
	}
	defer endWithUs(child)()
	family, err := startFamily(child)
	if err != nil {
		return &hintError{
			message: fmt.Sprintf("cannot run %q: %v", command[0], rootCause(err)),
			hint:    "check that the command is in PATH; its arguments follow it: exec -- COMMAND ARG...",
			cause:   err,
		}
	}
	for {
		select {
		case received := <-signals:
			if !isSentToAll(received, child.Process) {
				_ = child.Process.Signal(received) // the command may have ended already
			}
		case last := <-family.ended:
			if !last.alone {
				family.endOthers(signals, std)
			}
			return last.status
		}
	}
}

// early returns a signal that has already arrived and would have ended the command, or 0.
func early(signals <-chan os.Signal) syscall.Signal {
	for {
		select {
		case received := <-signals:
			if number, ok := received.(syscall.Signal); ok && ends(number) {
				return number
			}
		default:
			return 0
		}
	}
}

// ending describes how a command ended.
type ending struct {
	status error // nil: status 0
	alone  bool  // it left no processes behind
}

// bySignal is added to a signal's number to form the exit status.
const bySignal = 128

// statusOf returns the exit status of a command, or 128+N if signal N ended it.
func statusOf(status syscall.WaitStatus) error {
	switch {
	case status.Signaled():
		return statusError(bySignal + int(status.Signal()))
	case status.ExitStatus() != 0:
		return statusError(status.ExitStatus())
	default:
		return nil
	}
}

// heard returns the signals to pass on. Signals that were ignored when this program started, as
// under nohup, stay ignored for the command too.
func heard() []os.Signal { return slices.DeleteFunc(passedOn(), signal.Ignored) }
