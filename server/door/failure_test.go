package door_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gcp-metadata-emulator/server/door"
)

const tooLarge = 32<<20 + 1

// An upstream that is the door itself, by a slip in the fixture, ends in a refusal that says so.
func TestLoop(t *testing.T) {
	t.Parallel()
	var back atomic.Pointer[url.URL]
	r := start(t, "authentication: none", &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
			r.SetURL(back.Load())
		},
	})
	door, err := url.Parse(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	back.Store(door)
	answer, err := r.Client().Do(get(t, r.URL+"/"))
	if err != nil {
		t.Fatal(err)
	}
	if got := whole(t, answer); got.StatusCode != http.StatusServiceUnavailable || got.body != "Service Unavailable" {
		t.Errorf("%d %q", got.StatusCode, got.body)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if why := r.passages[0].Failure; !strings.HasPrefix(why, "the request has passed 32 proxies: the upstream of service") {
		t.Errorf("the innermost passage failed because %q", why)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	r := start(t, "authentication: none", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/late":
			<-r.Context().Done()
		case "/malformed":
			conn, _, _ := http.NewResponseController(w).Hijack()
			_, _ = io.WriteString(conn, "nonsense\r\n\r\n")
			_ = conn.Close()
		case "/closed":
			panic(http.ErrAbortHandler)
		case "/large":
			w.Header().Set("Content-Length", strconv.Itoa(tooLarge))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		default:
			_, _ = io.Copy(io.Discard, r.Body)
		}
	}))
	for _, test := range []struct {
		path   string
		limit  time.Duration
		length int64 // of the request's body; -1: in chunks
		status int
		body   string
	}{
		{"/late", 100 * time.Millisecond, 0, 504, "upstream request timeout"},
		{"/malformed", time.Hour, 0, 503, "Service Unavailable"},
		{"/closed", time.Hour, 0, 503, "Service Unavailable"},
		{"/large", time.Hour, 0, 500, "<!DOCTYPE html>"},
		{"/upload", time.Hour, tooLarge, 413, "<!DOCTYPE html>"},
	} {
		r.limit(t, test.limit)
		request := get(t, r.URL+test.path)
		if test.length != 0 {
			request.Method, request.ContentLength, request.Body = http.MethodPost, test.length, io.NopCloser(io.LimitReader(zeros{}, tooLarge))
		}
		answer, err := r.Client().Do(request)
		if err != nil {
			t.Errorf("%s: %v", test.path, err)
			continue
		}
		got := whole(t, answer)
		if got.StatusCode != test.status || !strings.HasPrefix(got.body, test.body) || got.Header.Get("Server") != "Google Frontend" {
			t.Errorf("%s: %d %q %v", test.path, got.StatusCode, got.body, got.Header)
		}
		if seen := r.last(t); seen.Status != test.status || seen.Failure == "" || seen.Bytes != int64(len(got.body)) {
			t.Errorf("%s is observed as %+v", test.path, seen)
		}
	}
}

type zeros struct{}

func (zeros) Read(into []byte) (int, error) {
	clear(into)
	return len(into), nil
}

// A body whose length is not known is cut off when it has become too large, but with HTTP/2.
func TestLargeChunks(t *testing.T) {
	t.Parallel()
	for ingress, want := range map[string]int{"http2: false": 413, "http2: true": 200} {
		r := start(t, "authentication: none, "+ingress, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
		}))
		request := get(t, r.URL)
		request.Method, request.ContentLength, request.Body = http.MethodPost, -1, io.NopCloser(io.LimitReader(zeros{}, tooLarge))
		if answer := do(t, r.Client(), request); answer.StatusCode != want {
			t.Errorf("%s: %d %s", ingress, answer.StatusCode, r.log())
		}
	}
}

// An answer that breaks off breaks off for the client.
func TestAnswerBreaksOff(t *testing.T) {
	t.Parallel()
	r := start(t, "authentication: none", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "abc")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}))
	answer, err := r.Client().Do(get(t, r.URL))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if body, err := io.ReadAll(answer.Body); string(body) != "abc" || err == nil {
		t.Errorf("%q, %v", body, err)
	}
}

// A client that leaves ends the request of the upstream.
func TestClientLeaves(t *testing.T) {
	t.Parallel()
	began, ended := make(chan struct{}), make(chan struct{})
	r := start(t, "authentication: none", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		close(ended)
	}))
	ctx, cancel := context.WithCancel(t.Context())
	gone, request := make(chan error), get(t, r.URL)
	go func() {
		answer, err := r.Client().Do(request.WithContext(ctx))
		if err == nil {
			_ = answer.Body.Close()
		}
		gone <- err
	}()
	<-began
	cancel()
	<-ended
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	r.Close() // waits for the door's handler
	if seen := r.last(t); seen.Status != 0 || seen.Failure == "" {
		t.Errorf("it is observed as %+v", seen)
	}
}

// A client that sends its body slowly is held no longer than the request may last.
func TestSlowUpload(t *testing.T) {
	t.Parallel()
	r := start(t, "authentication: none", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	r.limit(t, 50*time.Millisecond)
	_, reader := raw(t, r.Server, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nabc")
	if answer := read(t, reader); answer.StatusCode != http.StatusGatewayTimeout {
		t.Errorf("status %d", answer.StatusCode)
	}
}

func TestNoUpstream(t *testing.T) {
	t.Parallel()
	for ingress, want := range map[string]string{
		"traffic: all":                   `service "orders" has no upstream: write one in its ingress, such as upstream: http://127.0.0.1:8080`,
		`upstream: "http://127.0.0.1:1"`: `nothing listens at http://127.0.0.1:1, the upstream of service "orders"`,
	} {
		r := startAt(t, "authentication: none, "+ingress, door.Config{Patience: -1, Explain: true})
		answer := do(t, r.Client(), get(t, r.URL))
		if answer.StatusCode != http.StatusServiceUnavailable || answer.body != "Service Unavailable" || answer.Header.Get("X-Emulator-Reason") != want {
			t.Errorf("%d %q %v", answer.StatusCode, answer.body, answer.Header)
		}
	}
}

// The wait for an upstream is bounded.
func TestUpstreamNeverStarts(t *testing.T) {
	t.Parallel()
	r := startAt(t, `authentication: none, upstream: "http://127.0.0.1:1"`, door.Config{Patience: 100 * time.Millisecond})
	if answer := do(t, r.Client(), get(t, r.URL)); answer.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("status %d", answer.StatusCode)
	}
}
