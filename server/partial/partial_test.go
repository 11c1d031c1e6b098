package partial_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/partial"
	"gcp-metadata-emulator/server/wire"
)

const document = `{"kind":"list","items":[{"name":"<a>","disks":[{"index":0,"mode":"RW"},{"index":1}],"tags":{"items":["x","y"],"fingerprint":"f"}},{"name":"b"}],"labels":{"a":"1","b":"2"},"next":""}`

func TestSelection(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"*":                                     document,
		"kind":                                  `{"kind":"list"}`,
		"next,kind":                             `{"kind":"list","next":""}`,
		"items/name":                            `{"items":[{"name":"<a>"},{"name":"b"}]}`,
		"items.name":                            `{"items":[{"name":"<a>"},{"name":"b"}]}`,
		"items(name)":                           `{"items":[{"name":"<a>"},{"name":"b"}]}`,
		" items ( name , disks/index ) , kind ": `{"kind":"list","items":[{"name":"<a>","disks":[{"index":0},{"index":1}]},{"name":"b"}]}`,
		"items(name,tags(items,fingerprint))":   `{"items":[{"name":"<a>","tags":{"items":["x","y"],"fingerprint":"f"}},{"name":"b"}]}`,
		"items/tags/items":                      `{"items":[{"tags":{"items":["x","y"]}},{}]}`,
		"items/*/fingerprint":                   `{"items":[{"disks":[{},{}],"tags":{"fingerprint":"f"}},{}]}`,
		"items(*/fingerprint,tags/items)":       `{"items":[{"disks":[{},{}],"tags":{"items":["x","y"],"fingerprint":"f"}},{}]}`,
		"labels/*":                              `{"labels":{"a":"1","b":"2"}}`,
		"labels/b,labels":                       `{"labels":{"a":"1","b":"2"}}`,
		"labels,labels/b":                       `{"labels":{"a":"1","b":"2"}}`,
		"items/disks,items/name":                `{"items":[{"name":"<a>","disks":[{"index":0,"mode":"RW"},{"index":1}]},{"name":"b"}]}`,
		"kind/below":                            `{}`,
		"missing":                               `{}`,
	} {
		selection, err := partial.Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, selection.Of(document)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

// An indented document stays indented.
func TestIndented(t *testing.T) {
	t.Parallel()
	selection, err := partial.Parse("a(b),c")
	if err != nil {
		t.Fatal(err)
	}
	document := wire.Pretty(map[string]any{"a": []any{map[string]any{"b": 1, "x": 2}}, "c": map[string]any{"d": "&"}, "e": 1})
	want := wire.Pretty(map[string]any{"a": []any{map[string]any{"b": 1}}, "c": map[string]any{"d": "&"}})
	if diff := cmp.Diff(want, selection.Of(document)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := selection.Of("plain"); got != "plain" {
		t.Errorf("a text that is not JSON became %q", got)
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a,":                           "a name of a field is missing at the end",
		"a//b":                         `"/b" cannot stand at byte 2`,
		"a(b":                          `a ")" is missing`,
		"a(":                           "a name of a field is missing at the end",
		"a()":                          `")" cannot stand at byte 2`,
		"a)":                           `")" cannot stand at byte 1`,
		"a(b)c":                        `"c" cannot stand at byte 4`,
		"a[0]":                         `"[0]" cannot stand at byte 1`,
		`"a"`:                          `"\"a\"" cannot stand at byte 0`,
		",a":                           `",a" cannot stand at byte 0`,
		strings.Repeat("a/", 40) + "a": "the selection is nested more than 32 levels deep",
		strings.Repeat("a(", 40):       "the selection is nested more than 32 levels deep",
		strings.Repeat("a", 9000):      "the selection has 9000 bytes, more than 8192",
	} {
		if _, err := partial.Parse(text); err == nil || err.Error() != want {
			t.Errorf("%.30s: got %v, want %s", text, err, want)
		}
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	answer := wire.Response{ContentType: "application/json; charset=UTF-8", Body: `{"a":1,"b":2}`}
	missing := answer
	missing.Status = 404
	page := wire.Response{ContentType: "text/html", Body: `{"a":1,"b":2}`}
	for _, test := range []struct {
		target, header string
		answer         wire.Response
		want           string
	}{
		{"/", "", answer, answer.Body},
		{"/?fields=", "", answer, answer.Body},
		{"/?x=fields", "", answer, answer.Body},
		{"/?fields=a", "", answer, `{"a":1}`},
		{"/?%24fields=a", "", answer, `{"a":1}`},
		{"/", "b", answer, `{"b":2}`},
		{"/?fields=a", "", missing, answer.Body},
		{"/?fields=a", "", page, answer.Body},
	} {
		r := httptest.NewRequest(http.MethodGet, test.target, nil)
		r.Header.Set("X-Goog-FieldMask", test.header)
		got, err := partial.Answers(refuse, answers(test.answer))(r)
		if err != nil || got.Body != test.want {
			t.Errorf("%s %s: got %q (%v), want %q", test.target, test.header, got.Body, err, test.want)
		}
	}
}

// A selection that cannot be read keeps the request from the handler, and the journal says why.
func TestRefusal(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodGet, "/?fields=a(", nil)
	ctx, refusal := journal.Watched(r.Context())
	_, err := partial.Answers(refuse, nil)(r.WithContext(ctx))
	if err == nil || err.Error() != "no a(" {
		t.Errorf("the error is %v", err)
	}
	if !strings.Contains(refusal.Reason, `"fields" cannot be read`) || refusal.Hint == "" {
		t.Errorf("the refusal is %+v", refusal)
	}
}

func refuse(selection string) error { return errors.New("no " + selection) }

func answers(response wire.Response) wire.Handler {
	return func(*http.Request) (wire.Response, error) { return response, nil }
}

func FuzzSelection(f *testing.F) {
	for _, seed := range []string{"a,b", "items(name,tags/items)", "*/a", "a(b(c))"} {
		f.Add(seed, document)
	}
	f.Fuzz(func(t *testing.T, text, document string) {
		selection, err := partial.Parse(text)
		if err != nil {
			if len(err.Error()) > 1000 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
			return
		}
		if cut := selection.Of(document); json.Valid([]byte(document)) && !json.Valid([]byte(cut)) {
			t.Errorf("%q of %q is %q", text, document, cut)
		}
	})
}
