// Package compare asks a real metadata server and an emulator the same requests, and finds the differences
// between their answers. The requests are those of the wire scripts, those that walk through the real
// server's tree, and checks that need several requests.
//
// It does not start the emulator, which its caller does from a fixture that package compare makes, and it
// does not print: its result is a report.
package compare

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"gcp-metadata-emulator/server/pseudonym"
	"gcp-metadata-emulator/server/script"
)

// Options say what is compared.
type Options struct {
	Real    *url.URL        // of the metadata server, without TLS
	Scripts []script.Script // of the metadata server

	// Emulate starts an emulator of a fixture, and returns its URL. The emulator must answer for every Host.
	Emulate func(ctx context.Context, fixture []byte) (*url.URL, error)

	Write bool // also send requests that change guest attributes

	Interval time.Duration // between two requests to the real server
	Limit    int           // of requests to the real server

	Now func() time.Time // the machine's time
}

// Report is the result of a comparison. It is redacted.
type Report struct {
	Server      string       `json:"server"`
	Profile     string       `json:"profile"`
	Requests    int          `json:"requests"` // to the real server
	LeftOut     int          `json:"leftOut"`  // requests for which the limit left no room
	Differences []Difference `json:"differences"`
}

// Difference is one way in which the servers differ.
type Difference struct {
	Aspect   Aspect `json:"aspect"`
	Rule     string `json:"rule"`           // of the table of rules
	RestsOn  string `json:"restsOn"`        // R, D, W, A: what the rule rests on
	Here     string `json:"here,omitempty"` // how the emulator is known to depart from the rule
	Request  string `json:"request"`        // the first request that shows it
	Real     string `json:"real"`
	Emulated string `json:"emulated"`
	Count    int    `json:"count"` // of the requests that show it
}

// comparison is one run.
type comparison struct {
	real, emulated *script.Client
	scripts        []script.Script
	write          bool
	document       *Document
	found          *findings
	leftOut        int
}

// Run compares. It returns an error if the real server does not answer, or if its answer cannot be
// emulated.
func Run(ctx context.Context, options Options) (Report, error) {
	c := &comparison{
		real: script.NewClient(options.Real, options.Now), scripts: options.Scripts, write: options.Write,
		found: newFindings(options.Scripts),
	}
	c.real.Interval, c.real.Limit = options.Interval, options.Limit
	whole, err := c.real.Ask(ctx, script.Get("/computeMetadata/v1/?recursive=true"))
	if err != nil {
		return Report{}, fmt.Errorf("cannot ask %q: %w", options.Real, err)
	}
	if c.document, err = ReadDocument(whole); err != nil {
		return Report{}, fmt.Errorf("%q does not answer ?recursive=true as a metadata server: %w", options.Real, err)
	}
	fixture, err := c.document.fixture()
	if err != nil {
		return Report{}, err
	}
	at, err := options.Emulate(ctx, fixture)
	if err != nil {
		return Report{}, fmt.Errorf("cannot emulate the answer of %q: %w", options.Real, err)
	}
	c.emulated = script.NewClient(at, options.Now)
	c.emulated.Host = c.real.Host
	if err := c.compare(ctx); err != nil {
		return Report{}, err
	}
	return c.report(options.Real), nil
}

// compare asks all requests. When the limit is reached, it goes on with counting what is left out.
func (c *comparison) compare(ctx context.Context) error {
	for _, p := range c.document.Probes(c.scripts, c.write) {
		if _, err := c.probe(ctx, p); c.left(err) != nil {
			return err
		}
	}
	all := checks()
	if c.write {
		all = append(all, writing())
	}
	for _, check := range all {
		if err := c.left(c.check(ctx, check)); err != nil {
			return err
		}
	}
	values, err := c.walk(ctx, "/computeMetadata/v1/")
	for _, path := range values {
		if err == nil {
			_, err = c.probe(ctx, Probe{Request: script.Get(path + "?alt=json"), Rule: c.found.ruleOf("every-document")})
			err = c.left(err)
		}
	}
	return err
}

// left counts a request that the limit left out.
func (c *comparison) left(err error) error {
	if errors.Is(err, script.ErrLimit) {
		c.leftOut++
		return nil
	}
	return err
}

func (c *comparison) report(at *url.URL) Report {
	names := pseudonym.New()
	c.document.teach(names)
	report := Report{
		Server: names.Redact(at.String()), Profile: string(c.document.Profile), Requests: c.real.Asked, LeftOut: c.leftOut,
		Differences: c.found.list,
	}
	for i := range report.Differences {
		d := &report.Differences[i]
		d.Request, d.Real, d.Emulated = names.Redact(d.Request), names.Redact(d.Real), names.Redact(d.Emulated)
	}
	return report
}

// probe asks both servers one request, and returns the answer of the real server.
func (c *comparison) probe(ctx context.Context, p Probe) (script.Answer, error) {
	theirs, err := c.real.Ask(ctx, p.Request)
	if isFinal(ctx, err) {
		return theirs, err
	}
	ours, own := c.emulated.Ask(ctx, p.Request)
	if own != nil {
		return theirs, fmt.Errorf("the emulator does not answer %q: %w", script.Line(p.Request), own)
	}
	if err != nil {
		c.found.add(Difference{Aspect: Silence, Request: script.Line(p.Request), Real: err.Error(), Emulated: brief(ours)}, p.Rule)
		return theirs, nil //nolint:nilerr // the error is a difference
	}
	differences := judge(theirs, ours)
	if hasAspect(differences, Body) && c.changes(ctx, p, theirs) {
		return theirs, nil
	}
	for _, d := range differences {
		d.Request = script.Line(p.Request)
		c.found.add(d, p.Rule)
	}
	return theirs, nil
}

// isFinal reports whether an error of the real server ends the comparison, or a part of it: other errors
// are differences.
func isFinal(ctx context.Context, err error) bool {
	return err != nil && (errors.Is(err, script.ErrLimit) || ctx.Err() != nil)
}

// changes reports whether a value of the real server is another one when it is asked again.
func (c *comparison) changes(ctx context.Context, p Probe, before script.Answer) bool {
	again, err := c.real.Ask(ctx, p.Request)
	return err == nil && again.Body != before.Body
}
