package googleapi_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
)

// read reads the field some_field of a body, and returns its value or the message of the error.
func read(t *testing.T, contentType, body string, field func(*googleapi.Fields) any) (any, string) {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
	request.Header.Set("Content-Type", contentType)
	message, err := googleapi.ReadMessage(request, "some_field")
	fields := &googleapi.Fields{Message: message, Err: err}
	value := field(fields)
	if fields.Err == nil {
		return value, ""
	}
	refused, ok := errors.AsType[*googleapi.Error](fields.Err)
	if !ok || refused.Code != http.StatusBadRequest || refused.Status != "INVALID_ARGUMENT" {
		t.Fatalf("%s: %v", body, fields.Err)
	}
	return nil, refused.Message
}

func TestFields(t *testing.T) {
	t.Parallel()
	text := func(f *googleapi.Fields) any { return f.Text("some_field") }
	texts := func(f *googleapi.Fields) any { return f.Texts("some_field") }
	boolean := func(f *googleapi.Fields) any { return f.Bool("some_field") }
	number := func(f *googleapi.Fields) any { return f.Int32("some_field") }
	data := func(f *googleapi.Fields) any { return f.Bytes("some_field") }
	mask := func(f *googleapi.Fields) any {
		paths, err := f.Message.Mask("some_field")
		f.Err = err
		return paths
	}
	duration := func(f *googleapi.Fields) any { return f.Duration("some_field") }
	for _, test := range []struct {
		body    string
		field   func(*googleapi.Fields) any
		want    any
		refused string
	}{
		{body: ``, field: text, want: ""},
		{body: `{}`, field: number, want: int32(0)},
		{body: `{"someField": "a"}`, field: text, want: "a"},
		{body: `{"some_field": "a"}`, field: text, want: "a"},
		{body: `{"someField": null}`, field: text, want: ""},
		{body: `{"someField": 1}`, field: text, refused: "Invalid value at 'some_field' (TYPE_STRING), 1"},
		{body: `{"someField": ["a", "b"]}`, field: texts, want: []string{"a", "b"}},
		{body: `{"someField": "a"}`, field: texts, want: []string{"a"}},
		{body: `{"someField": ["a", 2]}`, field: texts, refused: "Invalid value at 'some_field[1]' (TYPE_STRING), 2"},
		{body: `{"someField": ["a", null]}`, field: texts, refused: "Invalid value at 'some_field[1]' (TYPE_STRING), null"},
		{body: `{"someField": true}`, field: boolean, want: true},
		{body: `{"someField": "false"}`, field: boolean, want: false},
		{body: `{"someField": 1}`, field: boolean, refused: "Invalid value at 'some_field' (TYPE_BOOL), 1"},
		{body: `{"someField": 2147483647}`, field: number, want: int32(2147483647)},
		{body: `{"someField": "12"}`, field: number, want: int32(12)},
		{body: `{"someField": 2147483648}`, field: number, refused: "Invalid value at 'some_field' (TYPE_INT32), 2147483648"},
		{body: `{"someField": "-_8="}`, field: data, want: []byte{0xfb, 0xff}},
		{body: `{"someField": "+/8"}`, field: data, want: []byte{0xfb, 0xff}},
		{body: `{"someField": "a*"}`, field: data, refused: `Invalid value at 'some_field' (TYPE_BYTES), Base64 decoding failed for "a*"`},
		{body: `{"someField": "displayName, description"}`, field: mask, want: []string{"display_name", "description"}},
		{body: `{"someField": "1.5s"}`, field: duration, want: 1500 * time.Millisecond},
		{body: `{"someField": "1m"}`, field: duration, refused: `Invalid value at 'some_field' (type.googleapis.com/google.protobuf.Duration), "1m"`},
		{body: `{"someField": "1m1s"}`, field: duration, refused: `Invalid value at 'some_field' (type.googleapis.com/google.protobuf.Duration), "1m1s"`},
		{body: `{"other": "a"}`, field: text, refused: `Invalid JSON payload received. Unknown name "other": Cannot find field.`},
		{body: `{} x`, field: text, refused: "Invalid JSON payload received. Unexpected token.\n{} x\n   ^"},
	} {
		got, refused := read(t, "application/json", test.body, test.field)
		if diff := cmp.Diff(test.want, got); diff != "" || refused != test.refused {
			t.Errorf("%s: %v, refused with %q; want %v, %q", test.body, got, refused, test.want, test.refused)
		}
	}
}

// A body may be a form too.
func TestForms(t *testing.T) {
	t.Parallel()
	for body, want := range map[string][]string{
		"someField=a%20b": {"a b"}, "someField=a&someField=b": {"a", "b"}, "": nil,
	} {
		got, refused := read(t, "application/x-www-form-urlencoded", body, func(f *googleapi.Fields) any { return f.Texts("some_field") })
		if diff := cmp.Diff(any(want), got); diff != "" || refused != "" {
			t.Errorf("%s: %v, refused with %q; want %v", body, got, refused, want)
		}
	}
}

func TestCheckQuery(t *testing.T) {
	t.Parallel()
	const unknown = `Invalid JSON payload received. Unknown name "other": Cannot bind query parameter. Field 'other' could not be found in request message.`
	for query, want := range map[string]string{
		"":                            "",
		"own=1":                       "",
		"alt=json&prettyPrint=false":  "",
		"$alt=json;enum-encoding=int": "",
		"$.xgafv=2&key=abc":           "",
		"other=1":                     unknown,
		"own=1&other=":                unknown,
		"alt=media":                   `Invalid value "media" for query parameter "alt". The emulator answers in JSON.`,
		"$alt=proto":                  `Invalid value "proto" for query parameter "alt". The emulator answers in JSON.`,
	} {
		err := googleapi.CheckQuery(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/?"+query, http.NoBody), "own")
		got := ""
		if refused, ok := errors.AsType[*googleapi.Error](err); ok {
			got = refused.Message
		} else if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s: refused with %q, want %q", query, got, want)
		}
	}
}

// A page of another origin cannot change anything with a browser's help, and may read.
func TestFromOwnPages(t *testing.T) {
	t.Parallel()
	handle := googleapi.FromOwnPages(func(*http.Request) (wire.Response, error) { return wire.Response{}, nil })
	for _, test := range []struct {
		method, header, value string
		refused               bool
	}{
		{http.MethodPost, "Origin", "https://attacker.example.com", true},
		{http.MethodPost, "Origin", "null", true},
		{http.MethodPost, "Sec-Fetch-Site", "cross-site", true},
		{http.MethodPost, "Sec-Fetch-Site", "same-site", true},
		{http.MethodDelete, "Origin", "https://localhost.example.com", true},
		{http.MethodPost, "Sec-Fetch-Site", "same-origin", false},
		{http.MethodPost, "Origin", "http://127.0.0.1:8254", false},
		{http.MethodPost, "Origin", "http://localhost:3000", false},
		{http.MethodPost, "Accept", "*/*", false},
		{http.MethodGet, "Origin", "https://attacker.example.com", false},
	} {
		request := httptest.NewRequestWithContext(t.Context(), test.method, "http://127.0.0.1:8254/", http.NoBody)
		request.Header.Set(test.header, test.value)
		_, err := handle(request)
		if refused, ok := errors.AsType[*googleapi.Error](err); ok != test.refused || ok && refused.Code != http.StatusForbidden {
			t.Errorf("%s with %s: %s: %v", test.method, test.header, test.value, err)
		}
	}
}
