package cli

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"gcp-metadata-emulator/server/reach"
)

// join runs the command as a workload of a running emulator.
func (c *execCommand) join(parsed *kong.Context, signals <-chan os.Signal, command []string, std streams) error {
	if name := flagForStart(parsed); name != "" {
		return &usageError{fmt.Errorf("--%s is for an emulator that exec starts, and --url names one that runs already", name)}
	}
	running := envCommand{clientFlags: clientFlags{URL: c.URL, ControlURL: c.ControlURL}, Reach: c.Reach, Instance: c.Instance}
	base, err := running.base()
	if err != nil {
		return err
	}
	if err := awaitEmulator(base, signals, std); err != nil {
		return err
	}
	ctx := context.Background() // signals are for the command
	restoreEnvironment()
	tellGcloud(ctx, c.logger(slog.LevelWarn, std))
	target, err := running.target(ctx, std)
	if err != nil {
		return err
	}
	set, unset := running.variables(target)
	set = append(set, reach.ForCommand(command[0])...)
	set = append(set, c.forGitHub(target)...)
	service, err := running.service(ctx)
	if err != nil {
		return err
	}
	run := child{command: command, environment: childEnvironment(target, with(set, service), append(unset, reach.TLSVariable), std)}
	return run.run(signals, std)
}

// flagForStart returns the name of a flag on the command line that only matters if exec starts an
// emulator, or an empty text.
func flagForStart(parsed *kong.Context) string {
	forBoth := []string{"url", "control-url", "reach", "instance", "github-actions", "log-level", "log-format"}
	for _, step := range parsed.Path {
		if step.Flag != nil && !slices.Contains(forBoth, step.Flag.Name) {
			return step.Flag.Name
		}
	}
	return ""
}

// service returns the variables for the container of the instance's service, if it has one.
func (c *envCommand) service(ctx context.Context) ([]reach.Variable, error) {
	list, err := c.instances(ctx)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(list, func(one listed) bool { return one.Name == c.Instance && one.Ingress != nil })
	if at < 0 {
		return nil, nil
	}
	var upstream *url.URL
	if text := list[at].Ingress.Upstream; text != "" {
		if upstream, err = url.Parse(text); err != nil {
			return nil, fmt.Errorf("read the upstream of service %q: %w", c.Instance, err)
		}
	}
	return reach.ForService(c.Instance, upstream), nil
}

// with adds variables. They replace variables of the same name.
func with(variables, others []reach.Variable) []reach.Variable {
	kept := slices.DeleteFunc(variables, func(v reach.Variable) bool {
		return slices.ContainsFunc(others, func(other reach.Variable) bool { return other.Name == v.Name })
	})
	return append(kept, others...)
}

// startPatience limits how long exec waits for an emulator to start.
const startPatience = 10 * time.Second

// awaitEmulator waits for an emulator to listen. If none does, the first request to it says so. A
// signal ends the waiting and this program.
func awaitEmulator(at *url.URL, signals <-chan os.Signal, std streams) error {
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	over := make(chan struct{})
	go func() {
		defer close(over)
		awaitListener(ctx, hostport(at), func() { _, _ = fmt.Fprintf(std.err, "%s: waiting for an emulator at %q\n", program, at) })
	}()
	for {
		select {
		case <-over:
			return nil
		case received := <-signals:
			if number, ok := received.(syscall.Signal); ok && ends(number) {
				return statusError(bySignal + int(number))
			}
		}
	}
}

// hostport returns the address in an http URL.
func hostport(at *url.URL) string { return net.JoinHostPort(at.Hostname(), cmp.Or(at.Port(), "80")) }

// awaitListener waits until a server listens at an address, and reports whether one does before the
// context ends. It calls waiting if none does at first.
func awaitListener(ctx context.Context, hostport string, waiting func()) bool {
	const interval = 50 * time.Millisecond
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	var dialer net.Dialer
	for tries := 0; ; tries++ {
		conn, err := dialer.DialContext(ctx, "tcp", hostport)
		if err == nil {
			_ = conn.Close() // it has served its purpose
			return true
		}
		if tries == 0 {
			waiting()
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return false
		}
	}
}
