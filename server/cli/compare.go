package cli

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/compare"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/script"
)

type compareCommand struct {
	Surface string `env:"-" enum:", ${surfaces}" default:"" placeholder:"NAME" help:"Compare one of Google's public hosts instead of a metadata server: ${surfaces}. Needs --key."`
	Key     string `env:"-" type:"path" placeholder:"FILE" help:"Key file of a throw-away service account of Google's, for --surface. The key itself is never sent."`
	Real    string `env:"GCP_METADATA_EMULATOR_COMPARE_REAL" placeholder:"URL" help:"URL of the real server (default: http://169.254.169.254, which this machine has if it is a VM or a pod of Google Cloud; with --surface, Google's host)."`
	With    string `env:"GCP_METADATA_EMULATOR_COMPARE_WITH" placeholder:"URL" help:"URL of the server to compare it with (default: an emulator of what the real server says, which runs as long as the comparison)."`
	Profile string `env:"-" enum:", gce, gke, cloud-run, cloud-functions, app-engine" default:"" placeholder:"NAME" help:"Profile of the real metadata server: gce, gke, cloud-run, cloud-functions or app-engine (default: a guess, which takes Cloud Functions and App Engine for Cloud Run)."`
	Write   bool   `env:"-" help:"Also send requests that the real server must refuse, and write, read and delete one guest attribute; with --surface tokens, revoke an access token."`
	Yes     bool   `env:"-" short:"y" help:"Do not ask before the first request."`
	Report  string `type:"path" env:"GCP_METADATA_EMULATOR_COMPARE_REPORT" placeholder:"FILE" help:"Also write a report for a bug report: JSON if the name ends in .json, else Markdown."`

	with *url.URL // that --with names; nil: an emulator is started
}

const (
	realRequests = compare.MaxRequests // that a comparison or a recording sends to a server
	realInterval = compare.Interval    // between two of them
)

// Help returns examples.
func (*compareCommand) Help() string {
	return `The real server is asked what the emulator's own tests ask, then for everything that it lists: at most 400 requests, 5 a second, which change nothing without --write. Each difference names the rule that the emulator follows and what the rule rests on: R recorded from a real server, D Google's documentation, W a witness, A an assumption. Tokens, keys, names, addresses and IDs are replaced in what is printed. The exit code is 1 if there is a difference.

Examples:
  gcp-metadata-emulator compare --yes --report differences.md
  gcp-metadata-emulator compare --real http://metadata.google.internal --write
  gcp-metadata-emulator compare --real http://127.0.0.1:8254 --with http://127.0.0.1:8255
  gcp-metadata-emulator compare --surface tokens --key throw-away.json`
}

// Run compares two servers and prints the differences.
func (c *compareCommand) Run(ctx context.Context, std streams) error {
	switch {
	case c.Surface != "" && c.Profile != "":
		return &usageError{&hintError{message: "--profile: one of Google's public hosts has no profile", hint: "leave out --profile, or --surface"}}
	case c.Surface != "":
		return c.runSurface(ctx, std)
	case c.Key != "":
		return &usageError{&hintError{message: "--key: a metadata server needs no key", hint: "name one of Google's public hosts with --surface"}}
	}
	c.Real = cmp.Or(c.Real, "http://169.254.169.254")
	target, err := metadataServer("--real", c.Real)
	if err == nil {
		c.with, err = c.checkedWith(metadataServer)
	}
	if err != nil {
		return err
	}
	if err := checkFile("report", c.Report, "--report"); err != nil {
		return err
	}
	scripts, interval, err := prepared(ctx, c.Yes, target, std, c.farWith()...)
	if err != nil {
		return err
	}
	result, err := compare.Run(ctx, c.options(target, scripts, interval, std))
	if err != nil {
		return c.advised(ctx, err)
	}
	return c.print(result, std)
}

func (c *compareCommand) options(target *url.URL, scripts []script.Script, interval time.Duration, std streams) compare.Options {
	options := compare.Options{
		Real: target, With: c.with, Scripts: scripts, Profile: fixtures.Profile(c.Profile), Write: c.Write,
		Interval: interval, Limit: realRequests, Now: time.Now,
		Emulate: func(ctx context.Context, fixture []byte) (*url.URL, error) { return emulate(ctx, fixture, std) },
	}
	if len(c.farWith()) > 0 {
		options.WithInterval = realInterval
	}
	return options
}

// farWith returns the server in --with if it is not on this machine, so that its owner must agree too.
func (c *compareCommand) farWith() []string {
	if c.with == nil || hostname.IsLoopback(hostname.Of(c.with.Host)) {
		return nil
	}
	return []string{c.with.String()}
}

// advised returns the error of a comparison, with a hint if a server does not answer as it should.
func (c *compareCommand) advised(ctx context.Context, err error) error {
	hint := "name a server that this machine can reach with --real"
	if c.with != nil {
		hint += " and --with"
	}
	if _, isUnreachable := errors.AsType[*script.UnreachableError](err); !isUnreachable && c.Surface != "" {
		hint = "check that the account of the key file and its key still exist"
	}
	if _, isUntrusted := errors.AsType[*tls.CertificateVerificationError](err); isUntrusted {
		hint = "if you trust the server, name the file with the certificate of its authority in SSL_CERT_FILE, or name another server with --real"
	}
	return advised(ctx, err, hint)
}

// advised returns the error of the first requests to a server, with a hint unless it has one.
func advised(ctx context.Context, err error, hint string) error {
	var hinted interface{ Hint() string }
	switch {
	case errors.As(err, &hinted):
		return err
	case ctx.Err() != nil:
		return errors.New("it was interrupted before there was anything to keep")
	default:
		return &hintError{message: err.Error(), hint: hint, cause: err}
	}
}

// metadataServer returns the URL in a flag, without TLS and without a path.
func metadataServer(flag, text string) (*url.URL, error) {
	at, err := url.Parse(text)
	if err != nil || at.Scheme != "http" || at.Host == "" || strings.Trim(at.Path, "/") != "" {
		return nil, &usageError{&hintError{
			message: fmt.Sprintf("%s: %q is not the URL of a metadata server", flag, withoutPassword(text)),
			hint:    "write http:// and the host, such as http://169.254.169.254",
		}}
	}
	return &url.URL{Scheme: at.Scheme, Host: at.Host}, nil // a user and a password have no meaning
}

// checkedWith returns the URL in --with, or nil.
func (c *compareCommand) checkedWith(check func(flag, text string) (*url.URL, error)) (*url.URL, error) {
	if c.With == "" {
		return nil, nil //nolint:nilnil // an emulator is started
	}
	return check("--with", c.With)
}

// withoutPassword returns a text that is meant as a URL, without a user and a password before the host.
func withoutPassword(text string) string {
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		return regexp.MustCompile(`\A[a-z]*://`).FindString(text) + text[at+1:]
	}
	return text
}

// confirm asks the user before requests to servers.
func confirm(std streams, targets []string, requests int) error {
	slices.Sort(targets[1:])
	to := strings.Join(slices.Compact(targets), " and ")
	if to != targets[0] {
		to = "each of " + to
	}
	_, _ = fmt.Fprintf(std.err, "This sends up to %d requests to %s, at most 5 a second. Go on? [y/N] ", requests, to)
	answer, err := bufio.NewReader(std.in).ReadString('\n')
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer == "y" || answer == "yes" {
		return nil
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("cannot read the answer: %w", rootCause(err))
	}
	return &hintError{message: "no request was sent, because nobody agreed", hint: "answer y, or agree beforehand with --yes"}
}

// emulate starts an emulator of a fixture that answers for every Host, as long as the context lasts.
func emulate(ctx context.Context, fixture []byte, std streams) (*url.URL, error) {
	flags := emulatorFlags{
		worldFlags: worldFlags{Inline: string(fixture)},
		runFlags:   runFlags{Ephemeral: true, AllowHost: []hostname.Pattern{hostname.Any()}, LogLevel: "error", LogFormat: "text"},
	}
	e, err := flags.start(ctx, oneAddress("127.0.0.1:0", ""), nil, flags.logger(slog.LevelError, std))
	if err != nil {
		return nil, err
	}
	return e.url, nil
}

// print writes the table and the report. It fails if there is a difference, or if there could be one in answers that
// nobody has compared.
func (c *compareCommand) print(result compare.Report, std streams) error {
	if len(result.Differences) > 0 {
		if err := result.WriteTable(std.out); err != nil {
			return err
		}
	}
	_, _ = fmt.Fprintln(std.err, result.Summary())
	if c.Report != "" {
		if err := c.write(result); err != nil {
			return fmt.Errorf("write the report %q: %w", c.Report, rootCause(err))
		}
	}
	switch {
	case result.LeftOut > 0 && len(result.Differences) == 0:
		return &hintError{
			message: fmt.Sprintf("the comparison is not complete: %d requests were left out because of the limit", result.LeftOut),
			hint:    fmt.Sprintf("compare a server with fewer entries: at most %d requests are sent", realRequests),
		}
	case result.Ended != nil && result.LeftOut == 0:
		return &hintError{message: "the comparison is not complete: " + result.Ended.String(), hint: "compare again when both servers answer"}
	case len(result.Differences) > 0:
		return fmt.Errorf("%q and the emulator differ", withoutPassword(c.Real))
	default:
		return nil
	}
}

func (c *compareCommand) write(result compare.Report) error {
	const readable = 0o644
	var text strings.Builder
	write := result.WriteMarkdown
	if filepath.Ext(c.Report) == ".json" {
		write = result.WriteJSON
	}
	if err := write(&text); err != nil {
		return err
	}
	return replaceFile(c.Report, text.String(), readable)
}
