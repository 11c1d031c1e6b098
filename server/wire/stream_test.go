package wire_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/wire"
)

// streaming serves a stream, and returns a request for it.
func streaming(t *testing.T, stream func(ctx context.Context, w io.Writer)) *http.Request {
	t.Helper()
	server := httptest.NewServer(dialect().Adapt(slog.New(slog.DiscardHandler), func(r *http.Request) (wire.Response, error) {
		return wire.Response{
			ContentType: "text/event-stream",
			Stream:      func(w io.Writer) { stream(r.Context(), w) },
		}, nil
	}))
	t.Cleanup(server.Close)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	return request
}

func TestStreamSendsAtOnce(t *testing.T) {
	t.Parallel()
	next := make(chan string)
	request := streaming(t, func(_ context.Context, w io.Writer) {
		for text := range next {
			_, _ = io.WriteString(w, text)
		}
	})
	response, err := http.DefaultClient.Do(request) // returns although nothing has been written
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.Header.Get("Content-Type") != "text/event-stream" || response.Header.Get("X-Surface") != "test" {
		t.Errorf("header is %v", response.Header)
	}
	lines := bufio.NewReader(response.Body)
	for _, text := range []string{"one\n", "two\n"} {
		next <- text
		if line, err := lines.ReadString('\n'); err != nil || line != text {
			t.Fatalf("read %q, %v; want %q", line, err, text)
		}
	}
	close(next)
	if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
		t.Errorf("the stream ends with %q, %v", rest, err)
	}
}

// A client that does not read does not keep a server from stopping.
func TestStreamToClientThatDoesNotRead(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	stopped, stop := context.WithCancel(t.Context())
	server := httptest.NewUnstartedServer(dialect().Adapt(slog.New(slog.DiscardHandler), func(r *http.Request) (wire.Response, error) {
		return wire.Response{Stream: func(w io.Writer) {
			var err error
			for err == nil {
				_, err = io.WriteString(w, strings.Repeat("x", 1<<20))
			}
			ended <- err
		}}, nil
	}))
	handler := server.Config.Handler
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(w, r.WithContext(stopped))
	})
	server.Start()
	t.Cleanup(server.Close)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	select {
	case err := <-ended:
		t.Fatalf("the stream ends by itself: %v", err)
	default:
	}
	stop()
	<-ended
}

func TestFieldsWithoutValueTakeAway(t *testing.T) {
	t.Parallel()
	recorder := httptest.NewRecorder()
	dialect().Serve(func(*http.Request) wire.Response {
		return wire.Response{Body: "<p>", Header: []wire.Field{{Name: "x-surface"}, {Name: "Content-Type"}, {Name: "X-Other", Value: "kept"}}}
	}).ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/", http.NoBody))
	header := recorder.Result().Header
	if header.Get("X-Surface") != "" || header.Get("Content-Type") != "" || header.Get("X-Other") != "kept" {
		t.Errorf("header is %v", header)
	}
}
