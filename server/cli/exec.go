package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"gcp-metadata-emulator/server/reach"
)

type execCommand struct {
	Listen string `default:"127.0.0.1:0" env:"GCP_METADATA_EMULATOR_EXEC_LISTEN" placeholder:"ADDR" help:"Address to serve on (default: a free port on 127.0.0.1)."`
	Reach  string `enum:"env, proxy, takeover" default:"env" help:"${reach}"`

	Instance string `placeholder:"NAME" help:"${instance}"`

	URL        string `name:"url" env:"GCP_METADATA_EMULATOR_EXEC_URL" placeholder:"URL" help:"Base URL of a running emulator to use, instead of starting one. Waits for the emulator to start."`
	ControlURL string `name:"control-url" env:"GCP_METADATA_EMULATOR_EXEC_CONTROL_URL" placeholder:"URL" help:"Base URL of its control plane, if started with --control-listen (default: the same as --url)."`

	metadataTLSFlags `embed:""`
	dnsFlags         `embed:""`
	emulatorFlags    `embed:""`

	GitHubActions string `name:"github-actions" placeholder:"OWNER/NAME[@REF]" help:"Let the command ask for ID tokens as a job of this repository on GitHub Actions does. A pool's provider whose issuer is github-actions accepts them (default of REF: refs/heads/main)."`

	Command []string `arg:"" passthrough:"partial" placeholder:"COMMAND" help:"Command and its arguments, after --."`
}

// Help returns examples.
func (*execCommand) Help() string {
	return `Examples:
  gcp-metadata-emulator exec -- go test ./...
  gcp-metadata-emulator exec --fixture world.yaml --instance login -- node login.js

Several programs in one world, each in its terminal:
  gcp-metadata-emulator serve --fixture world.yaml
  gcp-metadata-emulator exec --url http://127.0.0.1:8254 --instance login -- node login.js
  gcp-metadata-emulator exec --url http://127.0.0.1:8254 --instance search -- ./search`
}

// Validate reports a mistake in the values of flags.
func (c *execCommand) Validate() error {
	repository, _, _ := strings.Cut(c.GitHubActions, "@")
	owner, name, _ := strings.Cut(repository, "/")
	if c.GitHubActions != "" && (owner == "" || name == "" || strings.Contains(name, "/")) {
		return fmt.Errorf("--github-actions: %q is not OWNER/NAME or OWNER/NAME@REF", c.GitHubActions)
	}
	return nil
}

// Run serves while the command runs, and returns the command's status.
func (c *execCommand) Run(std streams, parsed *kong.Context) error {
	command, err := commandOf(c.Command)
	if err != nil {
		return err
	}
	warnOfMisplaced(parsed, c.Command, std)
	if err := needsPort(c.Listen); err != nil {
		return err
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, heard()...)
	defer signal.Stop(signals)
	if c.URL != "" {
		return c.join(parsed, signals, command, std)
	}
	if err := c.check(c.Reach == reachTakeover, "--reach takeover"); err != nil {
		return err
	}
	serving, stop := context.WithCancel(context.Background()) // a signal must not stop the emulator: the command handles it
	defer stop()
	over := takeover{dir: c.MetadataTLSDir}
	defer over.end()
	if c.Reach == reachTakeover {
		err = over.begin(std)
	} else {
		err = c.without("--reach takeover")
	}
	if err != nil {
		return err
	}
	// The log is at warn, because the terminal belongs to the command.
	e, err := startUnless(signals, stop, func() (*emulator, error) {
		return c.start(serving, over.plan(oneAddress(c.Listen, c.Instance)), nil, c.logger(slog.LevelWarn, std))
	})
	if err == nil {
		err = over.lay(serving, e)
	}
	if err != nil {
		return err
	}
	if err = c.serveNames(serving, e); err == nil {
		e.announce(serving)
		err = c.runCommand(e, signals, child{command: command}, std)
	}
	stop()
	return errorsFirst(err, <-e.ended)
}

// startUnless starts an emulator, unless a signal arrives meanwhile that would have ended the command:
// a file of the world may take any time.
func startUnless(signals <-chan os.Signal, stop func(), start func() (*emulator, error)) (*emulator, error) {
	var e *emulator
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		e, err = start()
	}()
	for {
		select {
		case <-done:
			return e, err
		case received := <-signals:
			number, ok := received.(syscall.Signal)
			if !ok || !ends(number) {
				continue
			}
			stop()
			if <-done; err != nil {
				return nil, statusError(bySignal + int(number))
			}
			return nil, errorsFirst(statusError(bySignal+int(number)), <-e.ended)
		}
	}
}

// commandOf returns the command in the arguments, of which the first may be "--".
func commandOf(arguments []string) ([]string, error) {
	if len(arguments) > 0 && arguments[0] == "--" {
		arguments = arguments[1:]
	}
	if len(arguments) == 0 || arguments[0] == "" {
		return nil, &usageError{errors.New("missing command after \"--\"")}
	}
	return arguments, nil
}

// runCommand runs the command and waits for it to end.
func (c *execCommand) runCommand(e *emulator, signals <-chan os.Signal, run child, std streams) error {
	own, err := newTemporary()
	if err != nil {
		return err
	}
	defer own.remove() // it contains copies of the emulator's tokens
	restoreEnvironment()
	tellGcloud(context.Background(), e.logger)
	target, err := c.target(e, own.path)
	if err != nil {
		return err
	}
	set, unset := append(target.Variables(), reach.ForCommand(run.command[0])...), target.Obstacles()
	if c.Reach == reachTakeover {
		hosts, err := writeHosts(own.path, e.world)
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
	set = append(set, c.forGitHub(target)...)
	if service, ok := e.world.Service(c.Instance); ok {
		set = with(set, reach.ForService(service.Name, service.Upstream))
	}
	run.environment = childEnvironment(target, set, unset, std)
	return run.run(signals, std)
}

// forGitHub returns the variables for a job of GitHub Actions, if the command is one.
func (c *execCommand) forGitHub(target reach.Target) []reach.Variable {
	if c.GitHubActions == "" {
		return nil
	}
	return reach.ForGitHub(cmp.Or(target.ControlURL, target.URL.String()), c.GitHubActions)
}

// target describes the emulator to the command. Files for the command go into the temporary
// directory.
func (c *execCommand) target(e *emulator, temporary string) (reach.Target, error) {
	target := reach.Target{
		URL:       e.url,
		ProjectID: e.world.Project.ID,

		UniverseDomain: e.world.UniverseDomain,

		GcloudConfig: filepath.Join(temporary, "gcloud"),
		NoProxy:      noProxy(),
		Preset:       os.Getenv,
	}
	if e.control != nil {
		target.ControlURL = e.control.String()
	}
	if e.secure != nil {
		target.TLSURL = e.secure.String()
	}
	err := os.Mkdir(target.GcloudConfig, 0o700)
	if err == nil && c.Reach != reachEnv {
		err = c.trusting(&target, e, temporary)
	}
	return target, err
}

// trusting makes programs trust the emulator's authority. Everybody can read the files with the trusted
// roots, because the command may run programs as other users.
func (c *execCommand) trusting(target *reach.Target, e *emulator, temporary string) error {
	defer tellProgress(context.Background(), e.logger, "collecting the trusted roots", nothingKnown)()
	authority, err := e.keys.Authority()
	if err != nil {
		return err
	}
	const passable = 0o711
	if err := os.Chmod(temporary, passable); err != nil {
		return err
	}
	target.MetadataTLS = c.Reach == reachTakeover && hasMetadataTLS(authority.Certificate())
	target.Proxy, err = throughProxy(temporary, authority.Certificate())
	return err
}

// childEnvironment returns the caller's environment with the variables set and the obstacles
// removed.
func childEnvironment(target reach.Target, variables []reach.Variable, obstacles []string, std streams) []string {
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

// tellGcloud logs that the command does not use the caller's configuration of gcloud, if the caller
// has one.
func tellGcloud(ctx context.Context, logger *slog.Logger) {
	home, _ := os.UserHomeDir() // without HOME, the directory does not exist
	folder := cmp.Or(os.Getenv("CLOUDSDK_CONFIG"), filepath.Join(home, ".config", "gcloud"))
	if _, err := os.Stat(folder); err == nil {
		logger.InfoContext(ctx, "the command gets a configuration of gcloud of its own", "ignored", folder)
	}
}

// warnOfUserFiles names the user's files that libraries read in any environment.
func warnOfUserFiles(std streams) {
	for _, file := range reach.UserFiles() {
		_, _ = fmt.Fprintf(std.err, "%s: %s prefer %q to a metadata server\n"+
			"hint: move the file or, if it is below HOME, set another HOME\n", program, file.Readers, file.Path)
	}
}
