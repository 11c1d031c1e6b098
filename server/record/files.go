package record

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/compare"
	"gcp-metadata-emulator/server/script"
)

// The names of the files of a recording. [fixtures.RecordedFixture] is the fixture that plays it.
const (
	TreeFile      = "recursive.json"  // the answer to ?recursive=true, byte for byte if nothing was redacted
	ChangeFile    = "change-%d.json"  // the same after a change, from 1 on
	playableFile  = "playable-"       // before the name of a file: the same without entries that no emulator can play
	ExchangesFile = "exchanges.txtar" // requests and answers with their header, in the form of package script
	IdentityFile  = "identity.json"   // headers and claims of ID tokens by format
)

// Recording is a recording, in files.
type Recording struct {
	Files      map[string][]byte // by name
	Requests   int
	LeftOut    int             // requests for which the limit left no room
	Changes    int             // that were seen
	Redacted   int             // values that were replaced
	Dropped    map[string]bool // paths of entries that no emulator can play
	Unanswered int             // requests that the server did not answer
	Ended      *compare.Ending // nil: everything was asked
	Unplayable error           // why no emulator can play it; nil: one can

	// Unwatched is how long the server was not watched, because it had changed MaxChanges times.
	Unwatched time.Duration

	// Silent is how long the server had not answered when the watch ended.
	Silent time.Duration
}

// instance is the instance of the fixture.
type instance struct {
	Name      string           `json:"name,omitempty"`
	Profile   fixtures.Profile `json:"profile"`
	Recording string           `json:"recording"`
	Scenario  []happening      `json:"scenario,omitempty"`
}

// happening is an entry of the scenario of the fixture.
type happening struct {
	At        string `json:"at"`
	Recording string `json:"recording"`
}

// recording puts everything into files, without secrets unless they are wanted.
func (r *recorder) recording(ctx context.Context) (Recording, error) {
	played := instance{Name: r.document.Name(), Profile: r.document.Profile}
	made := Recording{
		Files: map[string][]byte{}, Dropped: map[string]bool{}, Requests: r.client.Asked, LeftOut: r.leftOut, Unanswered: r.unanswered,
		Changes: len(r.changes), Unwatched: r.unwatched,
	}
	if !r.silentSince.IsZero() {
		made.Silent = r.options.Now().Sub(r.silentSince)
	}
	r.learn()
	played.Recording = made.add(ctx, TreeFile, r.shown(string(r.document.Whole)), r.document.Profile)
	for i, change := range r.changes {
		file := fmt.Sprintf(ChangeFile, i+1)
		file = made.add(ctx, file, r.shown(change.document), r.document.Profile)
		played.Scenario = append(played.Scenario, happening{change.at.String(), file})
	}
	if r.redactor != nil {
		for _, document := range made.Files {
			r.redactor.names.Allow(string(document))
		}
		for _, e := range r.exchanges {
			r.redactor.names.Allow(r.redactor.names.Redact(e.request))
		}
		played.Name = r.redactor.names.RedactForms(played.Name)
	}
	made.Files[ExchangesFile] = r.archive()
	claims, err := r.claims()
	if err != nil {
		return Recording{}, err
	}
	made.Files[IdentityFile] = claims
	made.Files[fixtures.RecordedFixture], err = indented(map[string]any{"instances": []any{played}})
	if r.redactor != nil {
		made.Redacted = r.redactor.names.Hidden()
	}
	return made, err
}

// learn finds the secrets of all answers, so that each is replaced in every other answer too.
func (r *recorder) learn() {
	if r.redactor == nil {
		return
	}
	documents := []string{string(r.document.Whole)}
	for _, change := range r.changes {
		documents = append(documents, change.document)
	}
	for _, wire := range r.options.Scripts {
		for _, e := range wire.Exchanges {
			r.redactor.kept.WriteString(e.Request) // with variables instead of users' names
		}
	}
	r.redactor.kept.WriteString(script.Get(root + account)) // and of requests without a script
	for _, document := range documents {
		r.redactor.studyDocument(document)
	}
	for _, document := range documents {
		_ = r.shown(document)
	}
	for _, e := range r.exchanges {
		if path, isOfTree := steps(e.request); isOfTree && e.answer.Status == 200 && !isOfToken(path) {
			_ = r.redactor.entry(path, e.request, e.answer)
		}
	}
}

// shown returns a document of the whole tree without secrets.
func (r *recorder) shown(document string) string {
	if r.redactor == nil {
		return document
	}
	shown, err := r.redactor.document(document, nil)
	if err == nil {
		return shown
	}
	var first json.RawMessage                                       // something follows the document
	_ = json.NewDecoder(strings.NewReader(document)).Decode(&first) // it was read before
	shown, _ = r.redactor.document(string(first), nil)              // it is JSON
	return shown
}

// archive returns the exchanges in the form of the scripts.
func (r *recorder) archive() []byte {
	taken := map[string]bool{}
	archive := &txtar.Archive{}
	for _, e := range r.exchanges {
		request, answer := e.request, e.answer
		if r.redactor != nil {
			request, answer = r.redactor.exchange(e)
		}
		name := e.name
		if name == "" {
			name = named(request)
		}
		for taken[name] {
			name += "-again"
		}
		taken[name] = true
		response := fmt.Sprintf("%d\n%s\n\n%s", answer.Status, strings.Join(answer.Headers, "\n"), answer.Body)
		if !strings.HasSuffix(response, "\n") {
			response += "<<>>\n"
		}
		archive.Files = append(archive.Files, txtar.File{Name: name + ".request", Data: []byte(request)}, txtar.File{Name: name + ".response", Data: []byte(response)})
	}
	return txtar.Format(archive)
}

// named returns the name of the exchange of a request.
func named(request string) string {
	path := strings.TrimPrefix(strings.TrimPrefix(script.Line(request), "GET "), root)
	name := strings.Trim(strings.NewReplacer("/", "-", "?", "-", "&", "-", "=", "-", "@", "-", ":", "-").Replace(path), "-")
	if directory, _, _ := strings.Cut(path, "?"); directory == "" || strings.HasSuffix(directory, "/") {
		name += "-listing"
	}
	return strings.TrimPrefix(name, "-")
}

// claims returns the claims of the ID tokens.
func (r *recorder) claims() ([]byte, error) {
	shown := map[string]identity{}
	for format, token := range r.identities {
		if r.redactor != nil {
			header, err := r.redactor.claims(string(token.Header))
			if err != nil {
				return nil, err
			}
			claims, err := r.redactor.claims(string(token.Claims))
			if err != nil {
				return nil, err
			}
			token = identity{json.RawMessage(header), json.RawMessage(claims)}
		}
		shown[format] = token
	}
	return indented(shown)
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
