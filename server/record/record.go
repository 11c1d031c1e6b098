// Package record writes down what a real metadata server says, so that an emulator can say the same
// elsewhere: its tree, the form of every answer, the claims of its ID tokens, and what changes while it is
// watched.
//
// It does not serve a recording: package fixtures reads it as a fixture.
package record

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/compare"
	"gcp-metadata-emulator/server/script"
)

// Options configure a recording.
type Options struct {
	Real    *url.URL        // of the metadata server, without TLS
	Scripts []script.Script // whose requests are recorded too
	For     time.Duration   // how long changes are watched
	Secrets bool            // keep secrets

	Profile fixtures.Profile // of the server; empty: it is guessed, see compare.ReadDocument

	// Keep, if it is not nil, is called with the recording so far: before changes are watched, and after each change.
	// The program may be killed while it waits.
	Keep func(Recording) error

	Interval time.Duration // between two requests
	Pace     time.Duration // between two requests while changes are watched, if that is longer
	Poll     time.Duration // between two requests to a server that does not answer while changes are watched, or that cannot wait
	Limit    int           // of requests before changes are watched
	Now      func() time.Time
}

// recorder asks a server, and keeps its answers.
type recorder struct {
	client      *script.Client
	options     Options
	redactor    *redactor // nil: secrets are kept
	document    *compare.Document
	etag        string // of the document
	exchanges   []exchange
	identities  map[string]identity
	changes     []change
	leftOut     int
	unanswered  int
	at          string        // the request that was sent last
	unwatched   time.Duration // see Recording
	silentSince time.Time     // zero: the server answers while changes are watched
	values      []string      // paths of values that directories list
}

// exchange is a request with its answer.
type exchange struct {
	name    string
	request string
	answer  script.Answer
}

// change is a new document of the server, with the time of the change.
type change struct {
	at       time.Duration // after the beginning of the recording
	document string
}

// Run records until the context ends. It returns an error if the server does not answer as a metadata server.
func Run(ctx context.Context, options Options) (Recording, error) {
	r := &recorder{client: script.NewClient(options.Real, options.Now), options: options}
	if !options.Secrets {
		r.redactor = newRedactor()
	}
	r.client.Interval, r.client.Limit, r.client.Patience = options.Interval, options.Limit, compare.Patience
	began := options.Now()
	whole, err := r.client.Ask(ctx, script.Get(root+"?recursive=true"))
	if err != nil {
		return Recording{}, fmt.Errorf("cannot ask %q: %w", options.Real, err)
	}
	if r.document, err = compare.ReadDocument(whole); err != nil {
		return Recording{}, fmt.Errorf("%q does not answer ?recursive=true as a metadata server: %w", options.Real, err)
	}
	r.document.Profile = cmp.Or(options.Profile, r.document.Profile)
	r.etag, _ = whole.Header("ETag")
	r.keep("tree", script.Get(root+"?recursive=true"), whole)
	ended := r.ending(ctx, r.survey(ctx))
	if ended == nil && options.For > 0 {
		if err := r.save(ctx); err != nil {
			return Recording{}, err
		}
		if err := r.watch(ctx, began); err != nil {
			return Recording{}, err
		}
	}
	recording, err := r.recording(context.WithoutCancel(ctx))
	recording.Ended = ended
	return recording, err
}

// ending describes the end of the recording, with its last request and the reason, if there is an error.
func (r *recorder) ending(ctx context.Context, err error) *compare.Ending {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return &compare.Ending{At: r.at, Why: "it was interrupted"}
	default:
		return &compare.Ending{At: r.at, Why: err.Error()}
	}
}

const root = "/computeMetadata/v1/"

// survey asks for everything once. It returns an error if the context ends or the server stops answering.
func (r *recorder) survey(ctx context.Context) (err error) {
	if r.identities, err = r.askIdentities(ctx); err == nil {
		err = r.walk(ctx, root)
	}
	more := []string{root + "?recursive=true&alt=text", "/", "/computeMetadata/", account + "token"}
	for _, path := range r.values {
		more = append(more, path+"?alt=json", path+"?alt=text")
	}
	for _, path := range more {
		if err == nil {
			_, err = r.ask(ctx, "", script.Get(path))
		}
	}
	for _, probe := range r.document.Probes(r.options.Scripts, false) {
		if err == nil {
			_, err = r.ask(ctx, probe.Name, probe.Request)
		}
	}
	if err == nil {
		err = r.client.Gone() // after the last request
	}
	return err
}

// ask sends a request, and keeps the exchange. It counts a request if the limit leaves no room for it, or if it gets no
// answer.
func (r *recorder) ask(ctx context.Context, name, request string) (script.Answer, error) {
	r.at = script.Line(request)
	answer, err := r.client.Ask(ctx, request)
	_, isGone := errors.AsType[*script.GoneError](err)
	switch {
	case ctx.Err() != nil:
		return answer, ctx.Err()
	case isGone:
		return answer, err
	case errors.Is(err, script.ErrLimit):
		r.leftOut++
	case err != nil:
		r.unanswered++
	default:
		r.keep(name, request, answer)
	}
	return answer, nil
}

// keep adds an exchange. Without a name, it is named after the path.
func (r *recorder) keep(name, request string, answer script.Answer) {
	r.exchanges = append(r.exchanges, exchange{name, request, masked(request, answer)})
}

// walk asks for each directory and each value below a directory.
func (r *recorder) walk(ctx context.Context, directory string) error {
	listing, err := r.ask(ctx, "", script.Get(directory))
	if err != nil || listing.Status != http.StatusOK {
		return err
	}
	for name := range strings.Lines(listing.Body) {
		switch name = strings.TrimSuffix(name, "\n"); {
		case name == "" || name == "token" || name == "identity" || !isAskable(name):
		case strings.HasSuffix(name, "/"):
			err = r.walk(ctx, directory+name)
		default:
			r.values = append(r.values, directory+name)
			_, err = r.ask(ctx, "", script.Get(directory+name))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// isAskable reports whether a listed name can stand in a request.
func isAskable(name string) bool { return fixtures.IsEntryName(strings.TrimSuffix(name, "/")) }

// save gives the recording so far to the caller.
func (r *recorder) save(ctx context.Context) error {
	if r.options.Keep == nil {
		return nil
	}
	recording, err := r.recording(ctx)
	if err == nil {
		err = r.options.Keep(recording)
	}
	return err
}
