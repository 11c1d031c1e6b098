package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/fixtures/input"
	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/keys/disk"
	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/watch"
	"gcp-metadata-emulator/server/workloads"
	"gcp-metadata-emulator/server/world"
)

// emulatorFlags holds the flags of commands that run an emulator of any world.
type emulatorFlags struct {
	worldFlags      `embed:""`
	kubernetesFlags `embed:""`
	storeFlags      `embed:""`
	runFlags        `embed:""`
}

// worldFlags holds the flags that describe the world.
type worldFlags struct {
	Fixture  string `type:"path" placeholder:"FILE" help:"Fixture that describes the emulated world, in YAML or JSON; - reads it from stdin (default: a project \"demo-project\" with a VM and three service accounts)."`
	Inline   string `name:"fixture-inline" env:"GCP_METADATA_EMULATOR_FIXTURE_YAML" placeholder:"YAML" help:"The fixture itself, in YAML or JSON, in place of a file."`
	Metadata string `type:"path" placeholder:"FILE" help:"${recording}"`
	Watch    bool   `help:"Reload when one of these files, or a file named in the fixture, changes. serve also reloads on SIGHUP."`
}

// runFlags holds the flags of all commands that run an emulator.
type runFlags struct {
	keysFlags  `embed:""`
	StateDir   string             `type:"path" default:"${state_dir}" placeholder:"DIR" help:"Directory that keeps signing keys between runs (default: gcp-metadata-emulator in $$XDG_STATE_HOME or ~/.local/state)."`
	Ephemeral  bool               `help:"Keep nothing on disk: every run generates new keys."`
	Strict     bool               `help:"Enforce IAM policies, and refuse bearer tokens that the emulator did not issue: the same as --iam enforce."`
	IAM        guard.Mode         `name:"iam" enum:", off, audit, enforce" default:"" placeholder:"MODE" help:"What to do with requests that IAM policies or their bearer token would refuse: answer them (off), answer them and say so in the journal and the log (audit), or refuse them (enforce). Default: enforce if the fixture has strict: true, else off."`
	Callers    fixtures.Callers   `enum:", any, known" default:"" placeholder:"WHO" help:"Whose requests for metadata to answer: of any caller, with the first instance for a caller at an unknown address, or of known callers only. Default: what the fixture says, or else any."`
	Explain    bool               `help:"When the door of a service refuses a request, give the client the reason in the header X-Emulator-Reason."`
	AllowHost  []hostname.Pattern `placeholder:"HOST" help:"Also answer requests for this host name; *.DOMAIN for the names below a domain, 10.4.0.0/16 for the addresses of a range, * for any name. Loopback addresses, localhost, and the names of the metadata server and the instances are always allowed."`
	TLSListen  string             `name:"tls-listen" placeholder:"ADDR" help:"Also serve over TLS at this address, with certificates of the emulator's own authority."`
	Control    string             `name:"control-listen" placeholder:"ADDR" help:"Serve the control plane, /emulator/, only at this address."`
	Probes     string             `name:"probe-listen" placeholder:"ADDR" help:"Also serve probes and metrics (/emulator/v1/livez, /emulator/v1/readyz, /emulator/metrics), and nothing else, at this address."`
	ProxyAllow []hostname.Target  `placeholder:"HOST[:PORT]" help:"As a proxy, forward requests for this host; *.DOMAIN for the hosts below a domain, a range such as 10.4.0.0/16, * for all hosts. Requests for a host of Google's are forwarded instead of emulated only if the name of the host or, such as *.googleapis.com, of a domain of Google's is given. Requests for other hosts are refused."`
	URLFile    string             `name:"url-file" type:"path" placeholder:"FILE" help:"Write the base URL to FILE, atomically, when the emulator is ready."`
	LogFormat  string             `enum:"text, json" default:"text" help:"Format of the log on stderr: ${enum}."`
	LogLevel   string             `enum:"auto, debug, info, warn, error" default:"auto" help:"Lowest level to log: ${enum}. auto is info, or warn for exec."`
}

func defaultStateDir() string {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) { // the XDG specification says to ignore relative paths
		return filepath.Join(dir, program)
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "state", program)
	}
	return ""
}

// emulator is a running emulator.
type emulator struct {
	url     *url.URL
	control *url.URL     // of the control plane; nil: same as url
	secure  *url.URL     // with TLS; nil: TLS is off
	world   *world.World // the world at the start
	server  *server.Server
	replica joining // nil: the emulator is alone
	keys    *keys.Ring
	logger  *slog.Logger
	ended   chan error // gets one value when the emulator stops serving

	cluster *cluster // that is watched; nil: none
	files   fixtures.Files
	watch   *watch.Watch // of the files; nil: not watched
	reloads reloads
	hangUps <-chan os.Signal // each one causes a reload; nil: no reloads
	plan    plan
	decided bool         // flags decide whether policies are enforced
	wanted  []address    // the plan's addresses for the served world
	served  *world.World // the world that the addresses were planned for
	sites   *sites
}

// start opens the plan's addresses and serves until ctx ends. It returns when the keys on disk
// have been read; others may still be generated. The emulator already serves metadata before
// that.
func (f emulatorFlags) start(ctx context.Context, plan plan, hangUps <-chan os.Signal, logger *slog.Logger) (*emulator, error) {
	emulated := clock.New(time.Now)
	joined, leave, err := f.join(ctx, logger)
	if err != nil {
		return nil, err
	}
	ring, err := f.ringOf(ctx, joined, emulated)
	if err != nil {
		return nil, err
	}
	e := &emulator{
		replica: joined, keys: ring, logger: logger, ended: make(chan error, 1), hangUps: hangUps, plan: plan.withTLS(f.TLSListen).
				with(address{hostport: f.Control, control: true}).with(address{hostport: f.Probes, probes: true}).with(address{hostport: f.PeerListen, peers: true}),
		sites: newSites(), reloads: newReloads(), decided: f.mode() != "",
	}
	if err := e.takeFlags(ctx, f); err != nil {
		return nil, err
	}
	if err := e.prepare(ctx); err != nil {
		e.watch.Close()
		return nil, err
	}
	ring.ReportTrouble(e.tellOfState(ctx))
	// Clients that trust the authority keep its certificate, so a reload does not change the domains.
	ring.Certify(hostname.DomainsOf(e.world.UniverseDomain), hostname.MetadataAddresses()...)
	removeURL(f.URLFile) // left over from a run that was killed
	told := make(chan struct{})
	defer close(told)
	e.server = server.New(e.config(f, emulated)) //nolint:contextcheck // a handler in it has the context of its call
	e.cluster.follow(ctx)
	e.introduce(ctx, f.peerFlags)
	go func() {
		err := e.serve(ctx)
		ring.Close() // keys that are still being generated are not needed
		leave()
		<-told
		removeURL(f.URLFile)
		e.ended <- err
	}()
	if err := ring.Load(); err != nil {
		return nil, err
	}
	go func() {
		e.warm(ctx)
		freeAfterStart(ctx)
		mindState(ctx, ring)
	}()
	if err := writeURL(f.URLFile, e.url); err != nil {
		return nil, err
	}
	return e, nil
}

// warm makes the missing signing keys.
func (e *emulator) warm(ctx context.Context) {
	made := func() []any {
		known, _ := e.keys.Google().Known() // Warm returns the error
		return []any{"made", len(known)}
	}
	defer tellProgress(ctx, e.logger, "making signing keys", made)()
	if err := e.keys.Warm(ctx); err != nil && ctx.Err() == nil {
		e.logger.ErrorContext(ctx, "cannot make signing keys", "error", err)
	}
}

// freeAfterStart gives back memory after the start. This costs as much CPU time as hundreds of requests, so
// it waits for a pause after a client's first requests.
func freeAfterStart(ctx context.Context) {
	const quiet = time.Second
	select {
	case <-ctx.Done():
	case <-time.After(quiet):
		debug.FreeOSMemory()
	}
}

// takeFlags finds the files of the world, and refuses flags that contradict each other.
func (e *emulator) takeFlags(ctx context.Context, f emulatorFlags) (err error) {
	if e.files, err = f.files(ctx, os.Stdin); err != nil {
		return err
	}
	if f.Strict && f.IAM != "" && f.IAM != guard.Enforce {
		return &usageError{fmt.Errorf("--strict is the same as --iam enforce, and contradicts --iam %s: leave one out", f.IAM)}
	}
	if err := e.connect(f.kubernetesFlags); err != nil {
		return err
	}
	if !f.Watch {
		return nil
	}
	if (f.Fixture == "" || e.files.Text != nil) && (f.Metadata == "" || e.files.RecordingText != nil) {
		return &usageError{errors.New("--watch has nothing to watch: name a file with --fixture or --metadata")}
	}
	if e.watch, err = watch.New(e.logger); err != nil {
		return &hintError{
			message: "cannot watch files: " + rootCause(err).Error(),
			hint:    "run without --watch, and send SIGHUP to reload", cause: err,
		}
	}
	return nil
}

// files returns the files of the world. It reads stdin and pipes now, because they can be read only
// once.
func (f worldFlags) files(ctx context.Context, stdin io.Reader) (files fixtures.Files, err error) {
	files = fixtures.Files{Fixture: f.Fixture, Recording: f.Metadata}
	switch {
	case f.Inline != "" && f.Fixture != "":
		return files, &usageError{errors.New("--fixture and --fixture-inline (GCP_METADATA_EMULATOR_FIXTURE_YAML) both describe the world: leave one out")}
	case f.Inline != "":
		files.Fixture, files.Text = "inline fixture", []byte(f.Inline)
	case f.Fixture == stdinName:
		files.Fixture = "stdin"
		files.Text, err = input.ReadAll(ctx, stdin)
	case input.IsPipe(f.Fixture):
		files.Text, err = input.ReadPipe(ctx, f.Fixture)
	}
	if err != nil {
		return files, fmt.Errorf("cannot read fixture %q: %w", files.Fixture, err)
	}
	if input.IsPipe(f.Metadata) {
		if files.RecordingText, err = input.ReadPipe(ctx, f.Metadata); err != nil {
			return files, fmt.Errorf("cannot read recording %q: %w", f.Metadata, err)
		}
	}
	return files, nil
}

// stdinName stands for stdin in place of the name of a file.
const stdinName = "-"

func (e *emulator) config(f emulatorFlags, emulated *clock.Clock) server.Config {
	config := server.Config{
		World: e.world, Keys: e.keys, GivenKeys: f.Keys, Clock: emulated, Logger: e.logger, IAM: f.mode(),
		AllowedHosts: f.AllowHost, ProxyAllowed: f.ProxyAllow, InstanceURLs: e.sites.urls, DoorURLs: e.sites.doorURLs, Explain: f.Explain,
		Workloads: workloads.Chooser{Callers: f.Callers},
	}
	e.cluster.configure(&config)
	if e.replica != nil {
		config.Replica = e.replica
	}
	if e.control != nil {
		config.PublicURL = e.url.String
	}
	return config
}

// mode returns the mode of the flags for policies. If no flag sets it, the mode is empty.
func (f emulatorFlags) mode() guard.Mode {
	if f.Strict {
		return guard.Enforce
	}
	return f.IAM
}

// prepare loads the world and opens the addresses.
func (e *emulator) prepare(ctx context.Context) error {
	found := e.load(ctx, e.files.Load)
	if found.err != nil {
		return found.err
	}
	e.tell(ctx, found.fixture)
	e.reloads.served, e.reloads.tried = found.seen, found.seen
	w, wanted := found.world, found.wanted
	if e.replica != nil {
		var err error
		if w, wanted, err = e.shared(ctx, w); err != nil {
			return err
		}
	}
	e.world, e.served, e.wanted = w, w, wanted
	return e.open(ctx, wanted)
}

func (f runFlags) logger(usual slog.Level, std streams) *slog.Logger {
	level := usual
	_ = level.UnmarshalText([]byte(f.LogLevel)) // every value except "auto" is a level of slog
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: journal.RedactAttribute}
	if f.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(std.err, options))
	}
	return slog.New(slog.NewTextHandler(std.err, options))
}

// ring returns the key ring. It has not read any keys yet.
func (f runFlags) ring(emulated *clock.Clock) (*keys.Ring, error) {
	dir := f.StateDir
	switch {
	case f.Ephemeral:
		dir = ""
	case dir == "":
		return nil, &hintError{message: "cannot keep signing keys: there is no home directory", hint: "set a directory with --state-dir, or run with --ephemeral"}
	}
	ring := keys.NewRing(dir, emulated.Now)
	ring.KeepWhile(emulated.FollowsMachine)
	return ring, nil
}

// rootCause returns the innermost error, normally the system's own.
func rootCause(err error) error {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err
}

// writeURL writes the emulator's URL to a file for other programs.
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

// removeURL removes the file that writeURL wrote. It leaves /dev/stdout and pipes alone.
func removeURL(path string) {
	if path != "" {
		_ = disk.RemoveFile(path) // the file may be missing
	}
}
