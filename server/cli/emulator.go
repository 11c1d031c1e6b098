package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/world"
)

// emulatorFlags are those of every command that runs an emulator.
type emulatorFlags struct {
	Fixture    string            `type:"path" placeholder:"FILE" help:"The world to emulate, in YAML or JSON. Without one: a project \"demo-project\" with a VM and three service accounts."`
	Metadata   string            `type:"path" placeholder:"FILE" help:"A recorded ?recursive=true reply, in JSON, to serve as it was recorded in the place of the metadata of the fixture's first instance. It also tells the project, the universe domain, and that instance's name and service accounts; everything else stays the fixture's."`
	Watch      bool              `help:"Reload when one of these files, or a file that the fixture names, changes. SIGHUP always makes serve reload."`
	StateDir   string            `type:"path" default:"${state_dir}" placeholder:"DIR" help:"Where signing keys are kept from run to run (${default})."`
	Ephemeral  bool              `help:"Keep nothing on disk: every run has new keys."`
	Strict     bool              `help:"Enforce IAM policies, and refuse bearer tokens that are not the emulator's own."`
	AllowHost  []string          `placeholder:"HOST" help:"Answer under this name too, besides loopback addresses, localhost, and the names of the metadata server and the instances; * for any."`
	TLSListen  string            `name:"tls-listen" placeholder:"ADDR" help:"Serve the same over TLS there, with certificates of the emulator's own authority."`
	Control    string            `name:"control-listen" placeholder:"ADDR" help:"Serve the control plane, /emulator/, there and nowhere else."`
	ProxyAllow []hostname.Target `placeholder:"HOST[:PORT]" help:"Pass requests for this host on when used as a proxy; *.DOMAIN for those below a domain, * for any but Google's. A name of Google's that is given is passed on too, instead of being played. Others are refused."`
	URLFile    string            `name:"url-file" type:"path" placeholder:"FILE" help:"Written, whole, with the base URL once the emulator is ready."`
	LogFormat  string            `enum:"text,json" default:"text" help:"How to write the log on stderr: ${enum}."`
	LogLevel   string            `enum:"auto,debug,info,warn,error" default:"auto" help:"What to write there: ${enum}; auto is info, and warn under exec."`
}

func defaultStateDir() string {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) { // XDG says to ignore relative ones
		return filepath.Join(dir, program)
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "state", program)
	}
	return ""
}

// emulator is a running one.
type emulator struct {
	url     *url.URL
	control *url.URL     // of the control plane; nil: the same
	secure  *url.URL     // with TLS; nil: nowhere
	world   *world.World // that it was started with
	server  *server.Server
	keys    *keys.Ring
	logger  *slog.Logger
	ended   chan error // gets one value when it no longer serves

	files   fixtures.Files
	watch   *watch           // of the files; nil: they are not watched
	hangUps <-chan os.Signal // make it reload; nil: there are none
	plan    plan
	wanted  []address    // by the plan, for the world that is served
	served  *world.World // that the addresses follow
	sites   sites
}

// start opens the addresses of a plan and serves until the context ends. It returns when the keys that
// are on disk have been read; others may still be in the making. Metadata is served before
// either.
func (f emulatorFlags) start(ctx context.Context, plan plan, hangUps <-chan os.Signal, logger *slog.Logger) (*emulator, error) {
	emulated := clock.New(time.Now)
	ring, err := f.ring(emulated)
	if err != nil {
		return nil, err
	}
	e := &emulator{
		keys: ring, logger: logger, ended: make(chan error, 1), hangUps: hangUps, plan: plan.withTLS(f.TLSListen).withControl(f.Control),
		files: fixtures.Files{Fixture: f.Fixture, Recording: f.Metadata}, sites: newSites(),
	}
	if f.Watch && f.Fixture == "" && f.Metadata == "" {
		return nil, &usageError{errors.New("--watch has nothing to watch: name a file with --fixture or --metadata")}
	}
	if f.Watch {
		if e.watch, err = newWatch(logger); err != nil {
			return nil, err
		}
	}
	if err := e.prepare(ctx); err != nil {
		e.watch.close()
		return nil, err
	}
	removeURL(f.URLFile) // of a run that could not do it
	told := make(chan struct{})
	defer close(told)
	e.server = server.New(e.config(f, emulated))
	go func() {
		err := e.serve(ctx)
		ring.Close() // what is still in the making comes too late
		<-told
		removeURL(f.URLFile)
		e.ended <- err
	}()
	if err := ring.Load(); err != nil {
		return nil, err
	}
	go func() {
		if err := ring.Warm(ctx); err != nil && ctx.Err() == nil {
			logger.ErrorContext(ctx, "cannot make signing keys", "error", err)
		}
		debug.FreeOSMemory() // what the start took is not needed again
	}()
	if err := writeURL(f.URLFile, e.url); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *emulator) config(f emulatorFlags, emulated *clock.Clock) server.Config {
	config := server.Config{
		World: e.world, Keys: e.keys, Clock: emulated, Logger: e.logger, Strict: f.Strict,
		AllowedHosts: f.AllowHost, ProxyAllowed: f.ProxyAllow, InstanceURLs: e.sites.urls,
	}
	if e.control != nil {
		config.PublicURL = e.url.String
	}
	return config
}

// prepare reads the world and opens the addresses.
func (e *emulator) prepare(ctx context.Context) error {
	w, wanted, err := e.load()
	if err != nil {
		return err
	}
	e.world, e.served, e.wanted = w, w, wanted
	return e.open(ctx, wanted)
}

func (f emulatorFlags) logger(usual slog.Level, std streams) *slog.Logger {
	level := usual
	_ = level.UnmarshalText([]byte(f.LogLevel)) // anything but "auto" is one of slog's
	options := &slog.HandlerOptions{Level: level}
	if f.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(std.err, options))
	}
	return slog.New(slog.NewTextHandler(std.err, options))
}

// ring is the keys, of which none has been read yet.
func (f emulatorFlags) ring(emulated *clock.Clock) (*keys.Ring, error) {
	dir := f.StateDir
	switch {
	case f.Ephemeral:
		dir = ""
	case dir == "":
		return nil, &hintError{message: "there is no home directory to keep signing keys in", hint: "name one with --state-dir, or run with --ephemeral"}
	}
	ring := keys.NewRing(dir, emulated.Now)
	ring.KeepWhile(emulated.FollowsMachine)
	ring.Certify(hostname.Domains())
	return ring, nil
}

// rootCause is the innermost error, which says what the system has against it.
func rootCause(err error) error {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err
}

// writeURL tells others where the emulator is.
func writeURL(path string, base *url.URL) error {
	if path == "" {
		return nil
	}
	const readable = 0o644
	if err := replaceFile(path, base.String()+"\n", readable); err != nil {
		return fmt.Errorf("write the URL file %q: %w", path, rootCause(err))
	}
	return nil
}

// removeURL takes back what writeURL told.
func removeURL(path string) {
	if path != "" {
		_ = os.Remove(path) // it need not be there
	}
}
