// Package compare asks a real server and an emulator the same requests, and finds the differences between
// their answers. The real server is a metadata server, or one of Google's public hosts. It takes the
// requests from the wire scripts and from the listings of a metadata server, and it makes checks that need several
// requests.
//
// It does not start the emulator, which its caller does from a fixture that package compare makes, and it
// does not print: its result is a report.
package compare

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/pseudonym"
	"gcp-metadata-emulator/server/script"
)

// MaxRequests and Interval keep a comparison from being a burden to a real server.
const (
	MaxRequests = 400                    // that a comparison sends to a server
	Interval    = 200 * time.Millisecond // between two of them
	Patience    = 5                      // requests in a row without an answer of the server, after which no more are sent
)

// Options say which servers are compared, and how.
type Options struct {
	Real    *url.URL        // of the real server; a metadata server's is without TLS
	With    *url.URL        // of the server that the real server is compared with; nil: Emulate starts an emulator
	Scripts []script.Script // of the real server's routes
	Roots   *x509.CertPool  // for the real server's certificate; nil: the system's

	// Emulate starts an emulator of a fixture, and returns its URL. The emulator must answer for every Host.
	Emulate func(ctx context.Context, fixture []byte) (*url.URL, error)

	Write bool // also send requests that change something

	Profile fixtures.Profile // of the real metadata server; empty: it is guessed, see ReadDocument

	Interval     time.Duration // between two requests to the real server
	WithInterval time.Duration // between two requests to the server of With
	Limit        int           // of requests to each of them

	Now func() time.Time // the machine's time
}

// root is the root of a metadata server's tree.
const root = "/computeMetadata/v1/"

// Report is the result of a comparison. It is redacted.
type Report struct {
	Server      string       `json:"server"`
	Profile     string       `json:"profile,omitempty"` // of a metadata server
	Surface     string       `json:"surface,omitempty"` // of a public host
	Requests    int          `json:"requests"`          // to the real server
	LeftOut     int          `json:"leftOut"`           // requests for which the limit left no room
	Ended       *Ending      `json:"ended,omitempty"`   // nil: everything was compared
	Differences []Difference `json:"differences"`
}

// Ending gives the reason for an early end of a comparison, and the request or check at which it ended.
type Ending struct {
	At  string `json:"at"` // the first request, or check, that was left out
	Why string `json:"why"`
}

func (e Ending) String() string { return fmt.Sprintf("it ended early, at %q: %s", e.At, e.Why) }

// Difference is a difference between the servers.
type Difference struct {
	Aspect   Aspect `json:"aspect"`
	Rule     string `json:"rule"`           // of the table of rules, or several of them
	RestsOn  string `json:"restsOn"`        // R, D, W, A: the evidence for the rule
	Here     string `json:"here,omitempty"` // how the emulator is known to depart from the rule
	Request  string `json:"request"`        // the first request that shows it
	Real     string `json:"real"`
	Emulated string `json:"emulated"`
	Count    int    `json:"count"` // of the requests that show it

	rules []script.Rule // that Rule, RestsOn and Here describe

	// theirs and ours, if they differ, are the whole bodies around Real and Emulated. A part of a secret cannot be
	// recognised as a secret.
	theirs, ours string

	// isChosen is true if a user chose the bodies, which can be too short for a name to be learnt.
	isChosen bool
}

// comparison holds the state of a run.
type comparison struct {
	options        Options
	real, emulated *script.Client
	document       *Document
	found          *findings
	names          *pseudonym.Names
	leftOut        int
	ended          *Ending
	at             string // the request, or check, that the real server is asked

	planned []Probe         // of the scripts
	asked   map[string]bool // requests that both servers were asked

	judge func(theirs, ours script.Answer) []Difference
	frame func(script.Answer) string // of a body, without the parts that differ from answer to answer

	values, ownValues map[string]string // of variables in requests to the real server, and to the emulator
}

func newComparison(options Options, names *pseudonym.Names) *comparison {
	c := &comparison{options: options, found: newFindings(options.Scripts), names: names, asked: map[string]bool{}}
	c.real = script.NewClient(options.Real, options.Now)
	c.real.Interval, c.real.Limit, c.real.Roots, c.real.Patience = options.Interval, options.Limit, options.Roots, Patience
	return c
}

// Run compares. It returns an error if the real server does not answer at the beginning, or if its answer cannot be
// emulated. If an error ends the comparison later, the report has it.
func Run(ctx context.Context, options Options) (Report, error) {
	c := newComparison(options, pseudonym.New())
	c.judge, c.frame = judge, func(a script.Answer) string { return a.Body }
	c.real.Heard = func(request string, answer script.Answer) { teach(c.names, request, answer) }
	whole, err := c.real.Ask(ctx, script.Get(root+"?recursive=true"))
	if err != nil {
		return Report{}, fmt.Errorf("cannot ask %q: %w", options.Real, err)
	}
	if c.document, err = ReadDocument(whole); err != nil {
		return Report{}, fmt.Errorf("%q does not answer ?recursive=true as a metadata server: %w", options.Real, err)
	}
	c.document.Profile = cmp.Or(options.Profile, c.document.Profile)
	if err := c.emulate(ctx); err != nil {
		return Report{}, err
	}
	c.emulated.Heard = c.real.Heard
	if _, err := c.emulated.Ask(ctx, script.Get(root+"?recursive=true")); err != nil { // it teaches names
		return Report{}, c.unemulated(err)
	}
	c.end(ctx, c.compare(ctx))
	report := c.report()
	report.Profile = string(c.document.Profile)
	return report, nil
}

// emulate finds the server that the real server is compared with: the server of the options, or an emulator of the
// document.
func (c *comparison) emulate(ctx context.Context) error {
	if c.options.With != nil {
		c.lead(c.options.With)
		return nil
	}
	fixture, dropped, err := c.document.fixture()
	if err != nil {
		return err
	}
	at, err := c.options.Emulate(ctx, fixture)
	if err != nil {
		// The error may quote the answer.
		return &unplayableError{fmt.Sprintf("cannot emulate the answer of %q: %s", c.options.Real, c.names.RedactWords(err.Error()))}
	}
	for _, path := range dropped {
		c.found.add(Difference{
			Aspect: Unplayable, Request: script.Line(script.Get(root + "?recursive=true")), Real: path, Emulated: "left out",
		}, c.found.rulesOf("every-document"))
	}
	c.lead(at)
	return nil
}

// lead makes the server at a URL the server that the real server is compared with.
func (c *comparison) lead(at *url.URL) {
	c.emulated = script.NewClient(at, c.options.Now)
	c.emulated.Host = c.real.Host
	if c.options.With != nil {
		c.emulated.Interval, c.emulated.Limit, c.emulated.Patience = c.options.WithInterval, c.options.Limit, Patience
	}
}

// unplayableError is the error of an answer that no fixture can have.
type unplayableError struct{ message string }

func (e *unplayableError) Error() string { return e.message }

// Hint returns the way that needs no fixture.
func (*unplayableError) Hint() string {
	return "report the answer as a bug, or name an emulator with a fixture of your own with --with"
}

// compare sends all requests: first for each entry in the real server's list, then the checks, then the other
// requests of the scripts. When it reaches the limit, it only counts the remaining requests.
func (c *comparison) compare(ctx context.Context) error {
	c.planned = c.document.Probes(c.options.Scripts, c.options.Write)
	values, err := c.walk(ctx, root)
	if err != nil {
		return err
	}
	all := checks()
	if c.options.Write {
		all = append(all, writing())
	}
	for _, check := range all {
		if err := c.left(c.check(ctx, check)); err != nil {
			return err
		}
	}
	later := c.planned
	for _, path := range values {
		later = append(later, Probe{Request: script.Get(path + "?alt=json"), Rules: c.found.rulesOf("every-document")})
	}
	return c.probes(ctx, later)
}

// probes asks the requests that were not asked before.
func (c *comparison) probes(ctx context.Context, probes []Probe) error {
	for _, p := range probes {
		if c.asked[p.Request] {
			continue
		}
		if _, err := c.probe(ctx, p); c.left(err) != nil {
			return err
		}
	}
	return nil
}

// left counts a request that the limit left out.
func (c *comparison) left(err error) error {
	if !errors.Is(err, script.ErrLimit) {
		return err
	}
	c.leftOut++
	if c.ended == nil {
		c.ended = &Ending{c.at, fmt.Sprintf("at most %d requests are sent to a server", c.options.Limit)}
	}
	return nil
}

// end records an early end of the comparison, with the request or check and the reason, if there is an error.
func (c *comparison) end(ctx context.Context, err error) {
	switch {
	case err == nil:
	case ctx.Err() != nil:
		c.ended = &Ending{c.at, "it was interrupted"}
	default:
		c.ended = &Ending{c.at, err.Error()}
	}
}

func (c *comparison) report() Report {
	report := Report{
		Server: c.names.Redact(c.options.Real.String()), Requests: c.real.Asked, LeftOut: c.leftOut, Ended: c.ended,
		Differences: append([]Difference{}, c.found.described()...), // in JSON, an empty list
	}
	for _, wire := range c.options.Scripts {
		for _, exchange := range wire.Exchanges {
			c.names.Allow(exchange.Request + "\n" + exchange.Response)
		}
	}
	for i := range report.Differences {
		report.Differences[i].redact(c.names)
	}
	if c.ended != nil {
		report.Ended = &Ending{c.names.RedactWords(c.ended.At), c.names.RedactWords(c.ended.Why)}
	}
	return report
}

// redact replaces every value that must stay private.
func (d *Difference) redact(names *pseudonym.Names) {
	if d.theirs == d.ours {
		d.Real, d.Emulated = names.RedactWords(d.Real), names.RedactWords(d.Emulated)
	} else {
		theirs, ours := d.redactBody(names, d.theirs), d.redactBody(names, d.ours)
		at := firstDifference(theirs, ours)
		d.Real, d.Emulated = excerpt(theirs, at), excerpt(ours, at)
	}
	d.Request = names.RedactWords(d.Request)
}

func (d *Difference) redactBody(names *pseudonym.Names, body string) string {
	value := strings.Trim(body, "\"\n")
	if d.isChosen && value != "" && len(value) < shortestLearnt {
		return strings.Replace(body, value, names.Name(pseudonym.Value, value), 1)
	}
	return names.RedactWords(body)
}

// probe sends a request to both servers, and returns the answer of the real server.
func (c *comparison) probe(ctx context.Context, p Probe) (script.Answer, error) {
	c.asked[p.Request], c.at = true, p.line()
	theirs, err := c.ask(ctx, p)
	if isFinal(ctx, err) {
		return theirs, c.named(err)
	}
	request, _ := bind(p.Request, c.ownValues)
	ours, own := c.emulated.Ask(ctx, request)
	switch {
	case errors.Is(own, script.ErrLimit):
		return theirs, own
	case own != nil:
		return theirs, c.unemulated(own)
	case err != nil:
		c.found.add(Difference{Aspect: Silence, Request: p.line(), Real: err.Error(), Emulated: brief(ours)}, p.Rules)
		return theirs, nil //nolint:nilerr // the error is a difference
	}
	differences := c.judge(theirs, ours)
	if hasAspect(differences, Body) && c.changes(ctx, p, theirs) {
		return theirs, nil
	}
	for _, d := range differences {
		d.Request, d.isChosen = p.line(), isChosen(p.Request)
		c.found.add(d, p.Rules)
	}
	return theirs, nil
}

// ask asks the real server.
func (c *comparison) ask(ctx context.Context, p Probe) (script.Answer, error) {
	request, _ := bind(p.Request, c.values)
	return c.real.Ask(ctx, request)
}

// isFinal reports whether an error of the real server ends the comparison, or a part of it: other errors
// are differences.
func isFinal(ctx context.Context, err error) bool {
	return err != nil && (isLost(err) || errors.Is(err, script.ErrLimit) || ctx.Err() != nil)
}

// isLost reports whether an error says that it is of no use to ask a server anything else.
func isLost(err error) bool {
	_, isUnreachable := errors.AsType[*script.UnreachableError](err)
	_, isGone := errors.AsType[*script.GoneError](err)
	return isUnreachable || isGone
}

// named returns the error of a real server that is lost with the URL of the server.
func (c *comparison) named(err error) error {
	if isLost(err) {
		return fmt.Errorf("cannot ask %q: %w", c.options.Real, err)
	}
	return err
}

// unemulated returns the error of the server that the real server is compared with.
func (c *comparison) unemulated(err error) error {
	if c.options.With != nil {
		return fmt.Errorf("cannot ask %q: %w", c.options.With, err)
	}
	return fmt.Errorf("the emulator does not answer: %w", err)
}

// changes reports whether a value of the real server changes from request to request. It returns true too if the
// server cannot be asked again.
func (c *comparison) changes(ctx context.Context, p Probe, before script.Answer) bool {
	again, err := c.ask(ctx, p)
	if err != nil {
		return isLost(err) || ctx.Err() != nil
	}
	return c.frame(again) != c.frame(before)
}
