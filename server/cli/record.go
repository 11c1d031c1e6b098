package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/record"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/script"
)

type recordCommand struct {
	Real    string        `default:"http://169.254.169.254" env:"GCP_METADATA_EMULATOR_RECORD_REAL" placeholder:"URL" help:"URL of the real metadata server (default: ${default}, which this machine has if it is a VM or a pod of Google Cloud)."`
	For     time.Duration `env:"GCP_METADATA_EMULATOR_RECORD_FOR" placeholder:"DURATION" help:"How long to watch for changes, such as 1h (default: not at all). An interrupt ends it earlier."`
	Output  string        `type:"path" required:"" env:"GCP_METADATA_EMULATOR_RECORD_OUTPUT" placeholder:"DIR" help:"Directory to write; it must be new or empty."`
	Secrets bool          `env:"-" help:"Keep the values of attributes, and keys and tokens in them. Without this flag, names like REDACTED-VALUE-1 replace them."`
	Profile string        `env:"-" enum:", gce, gke, cloud-run, cloud-functions, app-engine" default:"" placeholder:"NAME" help:"Profile of the server: gce, gke, cloud-run, cloud-functions or app-engine (default: a guess, which takes Cloud Functions and App Engine for Cloud Run)."`
	Yes     bool          `env:"-" short:"y" help:"Do not ask before the first request."`
}

const recordPoll = 5 * time.Second // see record.Options

// Help returns examples.
func (*recordCommand) Help() string {
	return `Writes down everything that the metadata server of a workload says: its tree, the header and every form of each value, listings, error pages, the claims of its ID tokens, and what changes while it is watched. serve --metadata DIR plays it elsewhere, the changes at their times. At most 400 requests are sent, 5 a second, and they change nothing; while it watches, at most one request a second follows, until it has seen 900 changes. With --secrets it plays exactly what was recorded; without it, names replace the values of attributes. Access tokens and signatures of the server itself are never kept. An interrupt ends it: what was recorded until then can be played. The exit code is 1 if anything was left out.

Examples:
  gcp-metadata-emulator record --yes --output my-vm
  gcp-metadata-emulator record --for 1h --output my-vm
  gcp-metadata-emulator serve --metadata my-vm`
}

// Run records, and writes the files.
func (c *recordCommand) Run(ctx context.Context, std streams) error {
	if c.For < 0 {
		return &usageError{&hintError{message: fmt.Sprintf("--for: %s is negative", c.For), hint: "write how long to watch, such as 1h, or leave out --for"}}
	}
	target, err := metadataServer("--real", c.Real)
	if err == nil {
		err = c.checkDir()
	}
	if err != nil {
		return err
	}
	if c.For > 0 {
		_, _ = fmt.Fprintf(std.err, "After the first requests, this watches for %s, with at most one request a second.\n", c.For)
	}
	scripts, interval, err := prepared(ctx, c.Yes, target, std)
	if err != nil {
		return err
	}
	recording, err := record.Run(ctx, record.Options{
		Real: target, Scripts: scripts, For: c.For, Secrets: c.Secrets, Profile: fixtures.Profile(c.Profile), Keep: c.write,
		Interval: interval, Pace: time.Second, Poll: recordPoll, Limit: realRequests, Now: time.Now,
	})
	if err != nil {
		return advised(ctx, err, "name a metadata server that this machine can reach with --real")
	}
	if err := c.write(recording); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(std.err, "recorded %s in %q: %d requests, %d left out, %d changes, %d secrets redacted\n",
		target, c.Output, recording.Requests, recording.LeftOut, recording.Changes, recording.Redacted)
	if n := len(recording.Dropped); n > 0 {
		_, _ = fmt.Fprintf(std.err, "%d entries cannot be played, because they are null or their names cannot stand in a request\n", n)
	}
	return c.lacking(recording)
}

// lacking returns an error if a recording is not whole.
func (c *recordCommand) lacking(recording record.Recording) error {
	playable := fmt.Sprintf("serve --metadata %s plays what it has", c.Output)
	switch {
	case recording.Unplayable != nil:
		return &hintError{
			message: fmt.Sprintf("no emulator can play the recording in %q: %s", c.Output, rootCause(recording.Unplayable)),
			hint:    "edit its files, or report what the server said",
		}
	case recording.Ended != nil:
		return &hintError{message: "the recording is not complete: " + recording.Ended.String(), hint: playable}
	case recording.Silent > 0:
		return &hintError{
			message: fmt.Sprintf("the server has not answered in the last %s of the watch, so that changes can be missing", recording.Silent.Round(time.Second)),
			hint:    playable,
		}
	case recording.Unwatched > 0:
		return &hintError{
			message: fmt.Sprintf("the watch ended %s too early, because the server had changed %d times", recording.Unwatched.Round(time.Second), recording.Changes),
			hint:    "record again if you need later changes; " + playable,
		}
	case recording.LeftOut > 0:
		return &hintError{
			message: fmt.Sprintf("the recording lacks the answers to %d requests, because it sends at most %d", recording.LeftOut, realRequests),
			hint:    fmt.Sprintf("the tree is whole, and %s; only %s lacks the last requests", playable, record.ExchangesFile),
		}
	case recording.Unanswered > 0:
		return &hintError{
			message: fmt.Sprintf("the recording lacks the answers to %d requests, because the server did not answer", recording.Unanswered),
			hint:    fmt.Sprintf("the tree is whole, and %s; only %s lacks them", playable, record.ExchangesFile),
		}
	}
	return nil
}

// checkDir refuses a directory with files, which could be another recording's, and a directory that cannot be written,
// before any request is sent.
func (c *recordCommand) checkDir() error {
	const hint = "name a new directory with --output"
	entries, err := os.ReadDir(c.Output)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &hintError{message: fmt.Sprintf("cannot read the directory %q: %v", c.Output, rootCause(err)), hint: hint, cause: err}
	}
	if len(entries) > 0 {
		return &hintError{message: fmt.Sprintf("the directory %q is not empty", c.Output), hint: hint}
	}
	existing := c.Output
	for _, err := os.Lstat(existing); errors.Is(err, fs.ErrNotExist); _, err = os.Lstat(existing) {
		parent := filepath.Dir(existing)
		if parent == existing { // a volume that does not exist
			break
		}
		existing = parent
	}
	if err := checkWritable(existing); err != nil {
		return &hintError{message: fmt.Sprintf("cannot write the directory %q: %v", c.Output, err), hint: hint, cause: err}
	}
	return nil
}

// write writes the files of a recording, each at once. It writes the fixture last, so that all of the
// fixture's files exist.
func (c *recordCommand) write(recording record.Recording) error {
	const private, privateDir = 0o600, 0o700 // it may have secrets that nothing recognised
	const hint = "free some space, or name another directory with --output"
	if err := os.MkdirAll(c.Output, privateDir); err != nil {
		return &hintError{message: fmt.Sprintf("cannot make the directory %q: %v", c.Output, rootCause(err)), hint: hint, cause: err}
	}
	isFixture := func(name string) bool { return name == fixtures.RecordedFixture }
	others := slices.DeleteFunc(slices.Sorted(maps.Keys(recording.Files)), isFixture)
	for _, name := range append(others, fixtures.RecordedFixture) {
		path := filepath.Join(c.Output, name)
		if err := replaceFile(path, string(recording.Files[name]), private); err != nil {
			return &hintError{message: fmt.Sprintf("cannot write %q: %v", path, rootCause(err)), hint: hint, cause: err}
		}
	}
	return nil
}

// prepared returns the scripts, and the time between two requests to the server. Unless agreed is true, it
// asks the user first.
func prepared(ctx context.Context, agreed bool, target *url.URL, std streams, further ...string) ([]script.Script, time.Duration, error) {
	scripts, err := server.MetadataScripts()
	if err != nil {
		return nil, 0, err
	}
	interval, err := consent(ctx, agreed, std, target, further...)
	return scripts, interval, err
}

// isEmulator reports whether an emulator answers at a loopback address, which can also lead to a real server,
// as a tunnel does.
func isEmulator(ctx context.Context, target *url.URL) bool {
	answer, err := script.NewClient(target, time.Now).Ask(ctx, "GET /emulator/v1/livez\n\n")
	return err == nil && answer.Status == http.StatusOK
}

// consent asks the user before requests to servers, unless the user has agreed, or the only server is an emulator of this
// machine. It returns the time between two requests to the target.
func consent(ctx context.Context, agreed bool, std streams, target *url.URL, further ...string) (time.Duration, error) {
	switch {
	case len(further) == 0 && hostname.IsLoopback(hostname.Of(target.Host)) && isEmulator(ctx, target):
		return 0, nil
	case agreed:
		return realInterval, nil
	default:
		return realInterval, confirm(std, append([]string{target.String()}, further...), realRequests)
	}
}
