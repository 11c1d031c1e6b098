package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"gcp-metadata-emulator/fixtures"
)

type ingressCommand struct {
	Upstream string   `placeholder:"URL" help:"Address of the service, such as http://127.0.0.1:8080 (default, with a command: a free port on 127.0.0.1, which the command gets as PORT)."`
	Service  string   `default:"service" placeholder:"NAME" help:"Name of the service (default: ${default})."`
	Audience []string `sep:"none" env:"GCP_METADATA_EMULATOR_INGRESS_AUDIENCE" placeholder:"A" help:"Audience of ID tokens that the service accepts besides its URLs; may be repeated."`
	Invoker  []string `sep:"none" placeholder:"MEMBER" help:"Member that may call the service, such as serviceAccount:EMAIL, user:EMAIL or allUsers; may be repeated. Accounts of the project demo-project are made (default: ${invoker}; with --iap: ${visitor})."`
	IAP      bool     `name:"iap" help:"Put Identity-Aware Proxy in front of the service, instead of Cloud Run's check of ID tokens."`

	Door   string `default:"127.0.0.1:0" placeholder:"ADDR" help:"Address of the door, which callers call (default: a free port on 127.0.0.1)."`
	Listen string `default:"127.0.0.1:0" env:"GCP_METADATA_EMULATOR_INGRESS_LISTEN" placeholder:"ADDR" help:"Address of the emulator itself (default: a free port on 127.0.0.1)."`

	runFlags `embed:""`

	Command []string `arg:"" optional:"" passthrough:"partial" placeholder:"COMMAND" help:"Command that runs the service, and its arguments, after --."`
}

// The members that may call the service of the command ingress: programs, or people by way of
// Identity-Aware Proxy.
const (
	defaultInvoker = "serviceAccount:worker@demo-project.iam.gserviceaccount.com"
	defaultVisitor = "user:dev@example.com"
)

// stopGrace is the time that Cloud Run gives a container to end
// (https://cloud.google.com/run/docs/container-contract#instance-shutdown).
const stopGrace = 10 * time.Second

// Help returns examples.
func (*ingressCommand) Help() string {
	return `The door answers callers as Cloud Run does, and forwards a request to the service if its caller may call the service. The world is the default one, with the service as its first instance; serve takes a fixture with more services.

Examples:

    gcp-metadata-emulator ingress --service orders -- node server.js
    gcp-metadata-emulator ingress --upstream http://127.0.0.1:8080 --door 127.0.0.1:8081
    gcp-metadata-emulator ingress --upstream http://127.0.0.1:8080 --invoker serviceAccount:login@demo-project.iam.gserviceaccount.com --audience orders`
}

// Run serves the door, and the service's command if there is one.
func (c *ingressCommand) Run(std streams) error {
	if len(c.Command) > 0 {
		command, err := commandOf(c.Command)
		if err != nil {
			return err
		}
		c.Command = command
	}
	if err := needsPort(c.Listen); err != nil {
		return err
	}
	if err := c.findUpstream(); err != nil {
		return err
	}
	own, err := newTemporary()
	if err != nil {
		return err
	}
	defer own.remove()
	flags := emulatorFlags{runFlags: c.runFlags}
	if flags.Fixture, err = c.writeFixture(own.path); err != nil {
		return err
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, heard()...)
	defer signal.Stop(signals)
	serving, stop := context.WithCancel(context.Background()) // a signal must not stop the emulator: the command handles it
	defer stop()
	e, err := flags.start(serving, everywhere(c.Listen), nil, c.logger(slog.LevelInfo, std))
	if err != nil {
		return err
	}
	c.tell(e, std)
	if len(c.Command) == 0 {
		return c.serve(e, signals, stop)
	}
	go c.watchUpstream(serving, std)
	run := execCommand{Reach: reachEnv, Instance: c.Service, emulatorFlags: flags}
	err = run.runCommand(e, signals, child{command: c.Command, grace: stopGrace}, std)
	stop()
	return errorsFirst(err, <-e.ended)
}

// serve serves until a signal ends it.
func (c *ingressCommand) serve(e *emulator, signals <-chan os.Signal, stop func()) error {
	for {
		select {
		case received := <-signals:
			if isEnding(received) {
				stop()
				return <-e.ended
			}
		case err := <-e.ended:
			return err
		}
	}
}

// findUpstream chooses a free port if the service's address is left to this program.
func (c *ingressCommand) findUpstream() error {
	switch {
	case c.Upstream != "":
		return nil
	case len(c.Command) == 0:
		return &usageError{errors.New("there is no service: name its address with --upstream, or the command that runs it after \"--\"")}
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("find a free port: %w", err)
	}
	c.Upstream = "http://" + listener.Addr().String()
	return listener.Close()
}

// tell prints the address of the door, and how to call it.
func (c *ingressCommand) tell(e *emulator, std streams) {
	door := e.sites.doorURLs()[c.Service]
	_, _ = fmt.Fprintf(std.err, "%s: the door of service %q is at %s\n", program, c.Service, door)
	if c.IAP {
		_, _ = fmt.Fprintf(std.err, "hint: open it in a browser, and sign in as one of the invokers\n")
		return
	}
	account := "ACCOUNT"
	if len(c.Invoker) == 0 {
		_, account, _ = cutMember(defaultInvoker)
	}
	_, _ = fmt.Fprintf(std.err, "hint: call it with: %s call --url %s --as %s %s\n", program, e.url, account, door)
}

// watchUpstream reports when the command listens at the service's address. If the command does not, it
// gives advice.
func (c *ingressCommand) watchUpstream(ctx context.Context, std streams) {
	at, err := url.Parse(c.Upstream)
	if err != nil {
		return // the fixture's reader has refused it
	}
	late := time.AfterFunc(startPatience, func() {
		_, _ = fmt.Fprintf(std.err, "%s: the command does not listen at %s yet\nhint: it must listen on the port in the variable PORT, which is %s\n", program, at.Host, at.Port())
	})
	defer late.Stop()
	if awaitListener(ctx, hostport(at), func() {}) {
		_, _ = fmt.Fprintf(std.err, "%s: the command listens at %s\n", program, at.Host)
	}
}

// writeFixture writes the world of the service to a file.
func (c *ingressCommand) writeFixture(dir string) (path string, err error) {
	text, err := c.fixture()
	if err != nil {
		return "", err
	}
	if _, err := fixtures.Parse("the command line", text, ""); err != nil {
		if mistake, ok := errors.AsType[*fixtures.Error](err); ok {
			_, message, _ := strings.Cut(mistake.Message, ": ") // without the place in a document that the user has not written
			return "", &usageError{&hintError{message: cmp.Or(message, mistake.Message), hint: mistake.Suggestion}}
		}
		return "", err
	}
	path = filepath.Join(dir, "ingress.json")
	const private = 0o600
	return path, os.WriteFile(path, text, private)
}
