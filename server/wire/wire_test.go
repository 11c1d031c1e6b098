package wire_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/wire"
)

type known struct{ error }

func (known) KnownToClients() {}

// dialect returns a dialect that writes the text of every error.
func dialect() wire.Dialect {
	return wire.Dialect{
		Header: []wire.Field{{Name: "X-Surface", Value: "test"}},
		Error: func(_ *http.Request, err error) wire.Response {
			return wire.Response{Status: http.StatusTeapot, Body: err.Error()}
		},
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	secret := errors.New("open /home/someone/key: permission denied")
	tests := []struct {
		name   string
		handle wire.Handler
		body   string
		logged string
	}{
		{"known", func(*http.Request) (wire.Response, error) {
			return wire.Response{}, errors.Join(secret, known{errors.New("no such thing")})
		}, "no such thing", ""},
		{"too large", func(*http.Request) (wire.Response, error) { return wire.Response{}, wire.ErrTooLarge }, wire.ErrTooLarge.Error(), ""},
		{"unknown", func(*http.Request) (wire.Response, error) { return wire.Response{}, secret }, wire.ErrInternal.Error(), secret.Error()},
		{"panic", func(*http.Request) (wire.Response, error) { panic(secret) }, wire.ErrInternal.Error(), secret.Error()},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var logs strings.Builder
			recorder := httptest.NewRecorder()
			dialect().Adapt(slog.New(slog.NewTextHandler(&logs, nil)), test.handle).
				ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/", http.NoBody))
			if recorder.Body.String() != test.body || recorder.Code != http.StatusTeapot {
				t.Errorf("answer is %d %q, want %q", recorder.Code, recorder.Body, test.body)
			}
			if recorder.Header().Get("X-Surface") != "test" {
				t.Error("an error lacks the surface's headers")
			}
			if (logs.Len() > 0) != (test.logged != "") || !strings.Contains(logs.String(), test.logged) {
				t.Errorf("logged %q, want %q", logs.String(), test.logged)
			}
		})
	}
}

// A client's departure is not an error.
func TestGoneClientIsNotLogged(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var logs strings.Builder
	dialect().Adapt(slog.New(slog.NewTextHandler(&logs, nil)), func(r *http.Request) (wire.Response, error) {
		return wire.Response{}, context.Cause(r.Context())
	}).ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/", http.NoBody))
	if logs.Len() > 0 {
		t.Errorf("logged %q", logs.String())
	}
}

func TestReadBody(t *testing.T) {
	t.Parallel()
	for size, want := range map[int]error{0: nil, wire.MaxBody: nil, wire.MaxBody + 1: wire.ErrTooLarge, 20 << 20: wire.ErrTooLarge} {
		// The request has no content length, as with a chunked body.
		request := httptest.NewRequest(http.MethodPost, "/", io.MultiReader(strings.NewReader(strings.Repeat("x", size))))
		body, err := wire.ReadBody(request)
		if !errors.Is(err, want) || err == nil && len(body) != size {
			t.Errorf("ReadBody of %d bytes = %d bytes, %v; want %v", size, len(body), err, want)
		}
	}
	request := httptest.NewRequest(http.MethodPost, "/", io.MultiReader(strings.NewReader("x"), failing{}))
	if _, err := wire.ReadBody(request); !errors.Is(err, wire.ErrUnread) {
		t.Errorf("ReadBody of a broken body = %v, want ErrUnread", err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// JSON has the form that encoding/json gives it.
func TestJSON(t *testing.T) {
	t.Parallel()
	for _, value := range []any{
		map[string]string{"a": "<&>"},
		"", `a "quoted" \ text {with: [braces]}, \" and`, "\u2028\n\t\x00é", 1.5e-9, true, nil,
		[]any{},
		map[string]any{},
		[]any{[]any{}, map[string]any{}, []any{[]any{1, "2"}}},
		map[string]any{"a": map[string]any{"b": []any{nil, "x", map[string]any{"c": "\\"}}}, "d:": "{", "e,": json.RawMessage(` { "f" : [ 1 , 2 ] } `)},
		strings.Repeat("long", 100_000),
	} {
		for _, indent := range []string{" ", "  ", "\t"} {
			var want strings.Builder
			encoder := json.NewEncoder(&want)
			encoder.SetEscapeHTML(false)
			encoder.SetIndent("", indent)
			if err := encoder.Encode(value); err != nil {
				t.Fatal(err)
			}
			if got := wire.Indented(value, indent); got != want.String() {
				t.Errorf("Indented = %q, want %q", got, want.String())
			}
		}
		var want bytes.Buffer
		if err := json.Compact(&want, []byte(wire.Pretty(value))); err != nil || wire.Compact(value) != want.String() {
			t.Errorf("Compact = %q, want %q, %v", wire.Compact(value), want.String(), err)
		}
	}
}

func BenchmarkPretty(b *testing.B) {
	value := map[string]any{"locations": []string{}, "encodedLocations": "0x0", "scope": "https://www.googleapis.com/auth/cloud-platform"}
	b.ReportAllocs()
	for b.Loop() {
		wire.Pretty(value)
	}
}
