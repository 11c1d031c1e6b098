package script_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/script"
)

const exchanges = "-- a.request --\nGET /\n\n-- a.response --\n200\n-- b.request --\nGET /b\n\n-- b.response --\n404\n"

func TestRead(t *testing.T) {
	t.Parallel()
	got, err := read("Prose is not a rule.\nrule R: a root exists\n\ta\nsection Two\nrule A D: two\n\there: not b: it is ours\n\ta check:c\n\tb\n" + exchanges)
	if err != nil {
		t.Fatal(err)
	}
	want := script.Script{
		Route: "x",
		Rules: []script.Rule{
			{Bases: []script.Basis{script.Recorded}, Statement: "a root exists", Shown: []string{"a"}},
			{
				Section: "Two", Bases: []script.Basis{script.Assumed, script.Documented}, Statement: "two", Here: "not b: it is ours",
				Shown: []string{"a", "b"}, Checks: []string{"c"},
			},
		},
		Exchanges: []script.Exchange{{Name: "a", Request: "GET /\n\n", Response: "200\n"}, {Name: "b", Request: "GET /b\n\n", Response: "404\n"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("script (-want +got):\n%s", diff)
	}
	packed, err := script.Pack([]script.Script{want})
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := script.Unpack(packed)
	if diff := cmp.Diff([]script.Script{want}, unpacked); diff != "" || err != nil {
		t.Errorf("script after packing (-want +got): %v\n%s", err, diff)
	}
	if _, err := script.Unpack(packed[:len(packed)/2]); err == nil {
		t.Error("half of a file is unpacked")
	}
	if diff := cmp.Diff(want.Rules[1:], got.RulesOf("b")); diff != "" {
		t.Errorf("rules of b (-want +got):\n%s", diff)
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"-- a.request --\nGET /\n":                        `"a.request" is not a request that its response follows`,
		"-- a.request --\n-- b.response --\n":             `"a.request" is not a request that its response follows`,
		exchanges + exchanges:                             `there are two exchanges "a"`,
		"rule R guess: X\n\ta\n" + exchanges:              `"R guess: X" is not a rule`,
		"rule R\n\ta\n" + exchanges:                       `"R" is not a rule`,
		"rule R: X\n" + exchanges:                         `nothing shows the rule "X"`,
		"\ta\n" + exchanges:                               `"a" belongs to no rule`,
		"rule R: X\n\tnothing\n" + exchanges:              `the rule "X" is shown by "nothing", which is not an exchange`,
		"-- a.request --\nGET /\n-- a.request --\nGET /x": `is not a request that its response follows`,
	} {
		if _, err := read(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
	if _, err := script.Read(fstest.MapFS{}, "*.txtar"); err == nil {
		t.Error("no scripts are no error")
	}
}

func read(text string) (script.Script, error) {
	scripts, err := script.Read(fstest.MapFS{"wire/x.txtar": {Data: []byte(text)}}, "wire/*.txtar")
	if err != nil {
		return script.Script{}, err
	}
	return scripts[0], nil
}

func TestReadAnswer(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]script.Answer{
		"HTTP/1.1 200 OK\r\neTag: ab\r\nContent-Length: 2\r\n\r\nhi":                              {Status: 200, Headers: []string{"eTag: ab", "Content-Length: 2"}, Body: "hi"},
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n":               {Status: 200, Headers: []string{"Transfer-Encoding: chunked"}, Body: "hi"},
		"HTTP/1.0 404 Not Found\n\nto the end":                                                    {Status: 404, Body: "to the end"},
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort":                                       {Status: 200, Headers: []string{"Content-Length: 9"}, Body: "short"},
		"HTTP/1.1 200 OK\r\nB: 1\r\nA: 2\r\nb: 3\r\nContent-Length: 0\r\n\r\nrest of another one": {Status: 200, Headers: []string{"B: 1", "A: 2", "b: 3", "Content-Length: 0"}},
	} {
		got, err := script.ReadAnswer(strings.NewReader(raw), http.MethodGet)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%q: %v (-want +got)\n%s", raw, err, diff)
		}
	}
	for _, raw := range []string{"", "HTTP/1.1 200 OK\r\n", "hello\r\n\r\n", "HTTP/1.1 abc\r\n\r\n"} {
		if got, err := script.ReadAnswer(strings.NewReader(raw), http.MethodGet); err == nil {
			t.Errorf("%q is read as %+v", raw, got)
		}
	}
	head, err := script.ReadAnswer(strings.NewReader("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), http.MethodHead)
	if err != nil || head.Body != "" {
		t.Errorf("HEAD: %+v, %v", head, err)
	}
}

func TestRaw(t *testing.T) {
	t.Parallel()
	for request, want := range map[string]string{
		"GET /a\nX: y\n\n":            "GET /a HTTP/1.1\r\nHost: h\r\nX: y\r\nConnection: close\r\n\r\n",
		"PUT /a\nHost: other\n\nbody": "PUT /a HTTP/1.1\r\nHost: other\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody",
	} {
		if got := script.Raw(request, "h", "Connection: close"); got != want {
			t.Errorf("%q is %q, want %q", request, got, want)
		}
	}
}
