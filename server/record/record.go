// Package record writes down what a real metadata server says, so that an emulator can say the same
// elsewhere: its tree, the form of every answer, the claims of its ID tokens, and what changes while it is
// watched.
//
// It does not serve a recording: package fixtures reads it as a fixture.
package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/compare"
	"gcp-metadata-emulator/server/script"
)

// Options say what is recorded.
type Options struct {
	Real    *url.URL        // of the metadata server, without TLS
	Scripts []script.Script // whose requests are recorded too
	For     time.Duration   // how long changes are watched
	Secrets bool            // keep secrets

	Interval time.Duration // between two requests
	Limit    int           // of requests
	Now      func() time.Time
}

// The names of the files of a recording. [fixtures.RecordedFixture] is the fixture that plays it.
const (
	TreeFile      = "recursive.json"  // the answer to ?recursive=true, byte for byte if nothing was redacted
	ExchangesFile = "exchanges.txtar" // requests and answers with their header, in the form of package script
	IdentityFile  = "identity.json"   // headers and claims of ID tokens by format
)

// Recording is a recording, in files.
type Recording struct {
	Files    map[string][]byte // by name
	Requests int
	LeftOut  int // requests for which the limit left no room
	Changes  int // that were seen
	Redacted int // values that were replaced
}

type recorder struct {
	client    *script.Client
	options   Options
	document  *compare.Document
	etag      string // of the document
	exchanges []txtar.File
	names     map[string]bool
	secrets   map[string]string // in answers, and what stands in their place: a value can change while others are asked
	leftOut   int
}

// Run records. It returns an error if the server does not answer as a metadata server.
func Run(ctx context.Context, options Options) (Recording, error) {
	r := &recorder{client: script.NewClient(options.Real, options.Now), options: options, names: map[string]bool{}, secrets: map[string]string{}}
	r.client.Interval, r.client.Limit = options.Interval, options.Limit
	began := options.Now()
	whole, err := r.client.Ask(ctx, script.Get(root+"?recursive=true"))
	if err != nil {
		return Recording{}, fmt.Errorf("cannot ask %q: %w", options.Real, err)
	}
	if r.document, err = compare.ReadDocument(whole); err != nil {
		return Recording{}, fmt.Errorf("%q does not answer ?recursive=true as a metadata server: %w", options.Real, err)
	}
	r.etag, _ = whole.Header("ETag")
	r.keep("tree", script.Get(root+"?recursive=true"), whole)
	identities, err := r.survey(ctx)
	if err != nil {
		return Recording{}, err
	}
	if r.client.Limit > 0 {
		r.client.Limit = r.client.Asked + requestsOfWatch(options.For)
	}
	scenario, err := r.watch(ctx, began)
	if err != nil {
		return Recording{}, err
	}
	return r.files(identities, scenario)
}

const root = "/computeMetadata/v1/"

// survey asks for everything once.
func (r *recorder) survey(ctx context.Context) (map[string]identity, error) {
	identities, err := r.identities(ctx)
	if err == nil {
		err = r.walk(ctx, root)
	}
	for _, path := range []string{root + "?recursive=true&alt=text", "/", "/computeMetadata/", account + "token"} {
		if err == nil {
			_, err = r.ask(ctx, named(path), script.Get(path))
		}
	}
	for _, probe := range r.document.Probes(r.options.Scripts, false) {
		if err == nil {
			_, err = r.ask(ctx, probe.Name, probe.Request)
		}
	}
	return identities, err
}

// ask asks and keeps the exchange. A request for which the limit leaves no room is counted, and a request
// that is not answered is left out.
func (r *recorder) ask(ctx context.Context, name, request string) (script.Answer, error) {
	answer, err := r.client.Ask(ctx, request)
	switch {
	case errors.Is(err, script.ErrLimit):
		r.leftOut++
	case ctx.Err() != nil:
		return answer, ctx.Err()
	case err == nil:
		r.keep(name, request, answer)
	}
	return answer, nil
}

// keep adds an exchange.
func (r *recorder) keep(name, request string, answer script.Answer) {
	r.collect(request, answer)
	for r.names[name] {
		name += "-again"
	}
	r.names[name] = true
	response := fmt.Sprintf("%d\n%s\n\n%s", answer.Status, strings.Join(answer.Headers, "\n"), answer.Body)
	if !strings.HasSuffix(response, "\n") {
		response += "<<>>\n"
	}
	r.exchanges = append(r.exchanges, txtar.File{Name: name + ".request", Data: []byte(request)}, txtar.File{Name: name + ".response", Data: []byte(response)})
}

// collect finds the secrets of one answer: of an attribute or of a whole tree. Tokens are no part of a tree.
func (r *recorder) collect(request string, answer script.Answer) {
	isTree := strings.Contains(request, "attributes/") || strings.Contains(request, "recursive=true")
	if answer.Status != http.StatusOK || !isTree || strings.Contains(request, "alt=text") || strings.Contains(request, "/token") {
		return
	}
	path, _, _ := strings.Cut(strings.TrimPrefix(script.Line(request), "GET "), "?")
	var value any
	if json.Unmarshal([]byte(answer.Body), &value) != nil {
		value = answer.Body
	}
	collect(r.secrets, path[strings.LastIndex(path, "/")+1:], value)
}

// named returns the name of the exchange of a path.
func named(path string) string {
	return strings.Trim(strings.NewReplacer("/", "-", "?", "-", "&", "-", "=", "-", "@", "-", ":", "-").Replace(strings.TrimPrefix(path, root)), "-")
}

// walk asks for each directory and each value below a directory, in all forms.
func (r *recorder) walk(ctx context.Context, directory string) error {
	listing, err := r.ask(ctx, named(directory)+"-listing", script.Get(directory))
	if err != nil || listing.Status != http.StatusOK {
		return err
	}
	for name := range strings.Lines(listing.Body) {
		switch name = strings.TrimSuffix(name, "\n"); {
		case name == "" || name == "token" || name == "identity":
		case strings.HasSuffix(name, "/"):
			err = r.walk(ctx, directory+name)
		default:
			err = r.forms(ctx, directory+name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// forms asks for a value in each form.
func (r *recorder) forms(ctx context.Context, path string) error {
	for _, form := range []string{"", "?alt=json", "?alt=text"} {
		if _, err := r.ask(ctx, named(path+form), script.Get(path+form)); err != nil {
			return err
		}
	}
	return nil
}

// files puts everything into files, without secrets unless they are wanted.
func (r *recorder) files(identities map[string]identity, scenario []happening) (Recording, error) {
	fixture := map[string]any{"instances": []any{instance{
		Name: r.document.Name(), Profile: r.document.Profile, Recording: TreeFile, Scenario: scenario,
	}}}
	claims, err := indented(identities)
	if err != nil {
		return Recording{}, err
	}
	played, err := indented(fixture)
	if err != nil {
		return Recording{}, err
	}
	recording := Recording{
		Requests: r.client.Asked, LeftOut: r.leftOut, Changes: len(scenario),
		Files: map[string][]byte{
			TreeFile: r.document.Whole, ExchangesFile: txtar.Format(&txtar.Archive{Files: r.exchanges}), IdentityFile: claims, fixtures.RecordedFixture: played,
		},
	}
	if !r.options.Secrets {
		recording.redact(r.document.Tree, scenario, r.secrets)
	}
	recording.Files[ExchangesFile] = []byte(withoutToken(string(recording.Files[ExchangesFile])))
	return recording, nil
}

// instance is the instance of the fixture.
type instance struct {
	Name      string           `json:"name,omitempty"`
	Profile   fixtures.Profile `json:"profile"`
	Recording string           `json:"recording"`
	Scenario  []happening      `json:"scenario,omitempty"`
}

// indented returns JSON for a reader.
func indented(value any) ([]byte, error) {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(value)
	return []byte(text.String()), err
}
