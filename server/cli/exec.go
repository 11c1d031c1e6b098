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
	Listen string `default:"127.0.0.1:0" env:"GCP_METADATA_EMULATOR_EXEC_LISTEN" placeholder:"ADDR" help:"Where every surface is served (a free port)."`
	Reach  string `enum:"env,proxy,takeover" default:"env" help:"How the command finds the emulator: by environment variables (env), and as its proxy for hosts that it has compiled in (proxy), or in the place of Google's servers (takeover, as serve --takeover does; scripts/namespace does the rest)."`

	Instance string `placeholder:"NAME" help:"Whose metadata server the command finds (that of the fixture's first instance)."`

	emulatorFlags `embed:""`

	Command []string `arg:"" passthrough:"" placeholder:"COMMAND" help:"The command and its arguments, after --."`
}

// Run serves while the command runs, and ends with the command's status.
func (c *execCommand) Run(std streams) error {
	command := c.Command
	if command[0] == "--" {
		command = command[1:]
	}
	if len(command) == 0 || command[0] == "" {
		return &usageError{errors.New("there is no command to run after \"--\"")}
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, heard()...)
	defer signal.Stop(signals)
	serving, stop := context.WithCancel(context.Background()) // signals are the command's to answer
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
	e, err := c.start(serving, addresses, nil, c.logger(slog.LevelWarn, std)) // the terminal is the command's
	if err != nil {
		return err
	}
	err = c.runCommand(e, signals, command, std)
	stop()
	return errorsFirst(err, <-e.ended)
}

// runCommand runs the command to its end.
func (c *execCommand) runCommand(e *emulator, signals <-chan os.Signal, command []string, std streams) error {
	own, err := newTemporary()
	if err != nil {
		return err
	}
	defer own.remove() // it holds copies of our own tokens
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
		unset = append(unset, reach.TLSVariable) // of an emulator around this one
	}
	return runChild(signals, command, childEnvironment(target, set, unset, std), std)
}

// target is the emulator as the command is to find it. What is only for the command goes into a
// directory that is removed.
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

// throughProxy is the reach of the emulator as a proxy. The files that say what to trust are for
// everybody: the command may run programs as other users.
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

// childEnvironment is the caller's, with what leads to the emulator and without what leads
// elsewhere.
func childEnvironment(target reach.Target, variables []reach.Variable, obstacles []string, std streams) []string {
	tellGcloud(std)
	caller := reach.NewEnvironment(os.Environ())
	environment := slices.DeleteFunc(os.Environ(), func(entry string) bool {
		name, value, _ := strings.Cut(entry, "=")
		isObstacle := target.IsObstacle(name, value, obstacles)
		if isObstacle && value != "" {
			_, _ = fmt.Fprintf(std.err, "%s: %s is set aside: it would lead away from the emulator\n", program, name)
		}
		return isObstacle || slices.ContainsFunc(variables, func(v reach.Variable) bool { return v.Name == name })
	})
	for _, variable := range append(variables, caller.Record(variables)) {
		environment = append(environment, variable.Name+"="+variable.Value)
	}
	warnOfUserFiles(std)
	return environment
}

// tellGcloud says that the caller's configuration of gcloud is set aside, where there is one.
func tellGcloud(std streams) {
	home, _ := os.UserHomeDir() // without one there is nothing in it
	folder := cmp.Or(os.Getenv("CLOUDSDK_CONFIG"), filepath.Join(home, ".config", "gcloud"))
	if _, err := os.Stat(folder); err == nil {
		_, _ = fmt.Fprintf(std.err, "%s: gcloud's configuration in %q is set aside: the command has one of its own\n", program, folder)
	}
}

// warnOfUserFiles names the files that no variable keeps libraries from.
func warnOfUserFiles(std streams) {
	for _, file := range reach.UserFiles() {
		_, _ = fmt.Fprintf(std.err, "%s: %s prefer %q to a metadata server\n"+
			"hint: move the file away or, where it is below HOME, use another HOME\n", program, file.Readers, file.Path)
	}
}

// runChild runs a command to its end, and ends what it leaves behind. What would interrupt this
// program is passed on; what came before the command could run keeps it from running.
func runChild(signals <-chan os.Signal, command, environment []string, std streams) error {
	child := exec.Command(command[0], command[1:]...) //nolint:gosec,noctx // the caller's own command, which no context may kill
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
			hint:    "the command is looked up in PATH; arguments of its own go after it: exec -- COMMAND ARG...",
			cause:   err,
		}
	}
	for {
		select {
		case received := <-signals:
			if !isSentToAll(received, child.Process) {
				_ = child.Process.Signal(received) // it may have ended already
			}
		case last := <-family.ended:
			if !last.alone {
				family.endOthers(signals, std)
			}
			return last.status
		}
	}
}

// early is the signal that has come already and would have ended the command; 0: there is none.
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

// ending is how a command ended.
type ending struct {
	status error // nil: 0
	alone  bool  // it has left nobody behind
}

// bySignal is the status of a command that signal 0 would have ended.
const bySignal = 128

// statusOf is how a command ended: as it says itself, or 128+N where signal N ended it.
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

// heard are the signals that are passed on, but for those that this program was started without,
// as nohup and shells do it: the command is without them too.
func heard() []os.Signal { return slices.DeleteFunc(passedOn(), signal.Ignored) }
