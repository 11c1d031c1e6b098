// Package compare asks a real server and an emulator the same requests, and finds the differences between
// their answers. The real server is a metadata server, or one of Google's public hosts. The requests are
// those of the wire scripts, those that walk through a metadata server's tree, and checks that need
// several requests.
//
// It does not start the emulator, which its caller does from a fixture that package compare makes, and it
// does not print: its result is a report.
package compare

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"time"

	"gcp-metadata-emulator/server/pseudonym"
	"gcp-metadata-emulator/server/script"
)

// Options say what is compared.
type Options struct {
	Real    *url.URL        // of the real server; a metadata server's is without TLS
	Scripts []script.Script // of the real server's routes
	Roots   *x509.CertPool  // that the real server's certificate is verified with; nil: the system's

	// Emulate starts an emulator of a fixture, and returns its URL. The emulator must answer for every Host.
	Emulate func(ctx context.Context, fixture []byte) (*url.URL, error)

	Write bool // also send requests that change something

	Interval time.Duration // between two requests to the real server
	Limit    int           // of requests to the real server

	Now func() time.Time // the machine's time
}

// Report is the result of a comparison. It is redacted.
type Report struct {
	Server      string       `json:"server"`
	Profile     string       `json:"profile,omitempty"` // of a metadata server
	Surface     string       `json:"surface,omitempty"` // of a public host
	Requests    int          `json:"requests"`          // to the real server
	LeftOut     int          `json:"leftOut"`           // requests for which the limit left no room
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

	// theirs and ours, if they differ, are the bodies that Real and Emulated are parts of: a part of a secret is
	// not known to be one.
	theirs, ours string
}

// comparison is one run.
type comparison struct {
	real, emulated *script.Client
	scripts        []script.Script
	write          bool
	document       *Document
	found          *findings
	leftOut        int

	judge func(theirs, ours script.Answer) []Difference
	frame func(script.Answer) string // of a body, without what differs from answer to answer

	values, ownValues map[string]string // of variables in requests to the real server, and to the emulator
}

// Run compares. It returns an error if the real server does not answer, or if its answer cannot be
// emulated.
func Run(ctx context.Context, options Options) (Report, error) {
	c := &comparison{
		real: script.NewClient(options.Real, options.Now), scripts: options.Scripts, write: options.Write,
		found: newFindings(options.Scripts), judge: judge, frame: func(a script.Answer) string { return a.Body },
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
		// The error may quote the answer.
		return Report{}, fmt.Errorf("cannot emulate the answer of %q: %s", options.Real, c.names().RedactWords(err.Error()))
	}
	c.emulated = script.NewClient(at, options.Now)
	c.emulated.Host = c.real.Host
	if err := c.compare(ctx); err != nil {
		return Report{}, err
	}
	report := c.report(options.Real, c.names())
	report.Profile = string(c.document.Profile)
	return report, nil
}

// names returns names for what the real server says.
func (c *comparison) names() *pseudonym.Names {
	names := pseudonym.New()
	c.document.teach(names)
	return names
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

func (c *comparison) report(at *url.URL, names *pseudonym.Names) Report {
	report := Report{
		Server: names.Redact(at.String()), Requests: c.real.Asked, LeftOut: c.leftOut,
		Differences: c.found.list,
	}
	for _, wire := range c.scripts {
		for _, exchange := range wire.Exchanges {
			names.Allow(exchange.Request + "\n" + exchange.Response)
		}
	}
	for i := range report.Differences {
		report.Differences[i].redact(names)
	}
	return report
}

// redact replaces what nobody else should see.
func (d *Difference) redact(names *pseudonym.Names) {
	if d.theirs == d.ours {
		d.Real, d.Emulated = names.RedactWords(d.Real), names.RedactWords(d.Emulated)
	} else {
		theirs, ours := names.RedactWords(d.theirs), names.RedactWords(d.ours)
		at := firstDifference(theirs, ours)
		d.Real, d.Emulated = excerpt(theirs, at), excerpt(ours, at)
	}
	d.Request = names.RedactWords(d.Request)
}

// probe asks both servers one request, and returns the answer of the real server.
func (c *comparison) probe(ctx context.Context, p Probe) (script.Answer, error) {
	theirs, err := c.ask(ctx, p)
	if isFinal(ctx, err) {
		return theirs, err
	}
	request, _ := bind(p.Request, c.ownValues)
	ours, own := c.emulated.Ask(ctx, request)
	if own != nil {
		return theirs, fmt.Errorf("the emulator does not answer %q: %w", p.line(), own)
	}
	if err != nil {
		c.found.add(Difference{Aspect: Silence, Request: p.line(), Real: err.Error(), Emulated: brief(ours)}, p.Rule)
		return theirs, nil //nolint:nilerr // the error is a difference
	}
	differences := c.judge(theirs, ours)
	if hasAspect(differences, Body) && c.changes(ctx, p, theirs) {
		return theirs, nil
	}
	for _, d := range differences {
		d.Request = p.line()
		c.found.add(d, p.Rule)
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
	return err != nil && (errors.Is(err, script.ErrLimit) || ctx.Err() != nil)
}

// changes reports whether a value of the real server is another one when it is asked again.
func (c *comparison) changes(ctx context.Context, p Probe, before script.Answer) bool {
	again, err := c.ask(ctx, p)
	return err == nil && c.frame(again) != c.frame(before)
}
