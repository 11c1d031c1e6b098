package control_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/emulatortest"
)

// follower reads the events of an emulator in synthetic time.
type follower struct {
	*httptest.ResponseRecorder

	stop  context.CancelFunc
	ended chan struct{}

	mu   sync.Mutex
	text strings.Builder // sent but not yet read
}

func (f *follower) Write(data []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.text.Write(data)
}

func follow(t *testing.T, s *server.Server, query string, header ...string) *follower {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f := &follower{ResponseRecorder: httptest.NewRecorder(), stop: cancel, ended: make(chan struct{})}
	request := httptest.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1/emulator/v1/events"+query, http.NoBody)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	go func() {
		defer close(f.ended)
		s.ServeHTTP(f, request)
	}()
	synctest.Wait()
	return f
}

// news returns the kinds of the events since its last call, with any other lines.
func (f *follower) news() string {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	text := f.text.String()
	f.text.Reset()
	var lines []string
	for block := range strings.SplitSeq(strings.TrimSuffix(text, "\n\n"), "\n\n") {
		kind, data, _ := strings.Cut(block, "\ndata: ")
		if _, path, ok := strings.Cut(data, `"path":"`); ok {
			kind += " " + path[:strings.Index(path, `"`)]
		} else if data != "" {
			kind += " " + data
		}
		lines = append(lines, strings.ReplaceAll(kind, "\n", " "))
	}
	return strings.Join(lines, "; ")
}

func TestEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := emulatortest.Unserved(t, "")
		emulatortest.Ask(t.Context(), s, "/computeMetadata/v1/before")
		all, tokens := follow(t, s, ""), follow(t, s, "?route=mds.token")
		if got := all.Header().Get("Content-Type"); got != "text/event-stream" || !all.Flushed {
			t.Errorf("content type %q, sent: %t", got, all.Flushed)
		}
		expect := func(f *follower, want string) {
			t.Helper()
			if got := f.news(); got != want {
				t.Errorf("news are %q, want %q", got, want)
			}
		}
		expect(all, `event: revision {"revision":1}`)
		expect(tokens, `event: revision {"revision":1}`)

		emulatortest.Ask(t.Context(), s, "/computeMetadata/v1/project/project-id")
		expect(all, "id: 2 event: request /computeMetadata/v1/project/project-id")
		expect(tokens, "")
		emulatortest.Ask(t.Context(), s, emulatortest.AttachedPath+"default/token")
		expect(all, "id: 3 event: request "+emulatortest.AttachedPath+"default/token")
		expect(tokens, "id: 3 event: request "+emulatortest.AttachedPath+"default/token")

		s.Reset()
		expect(all, `event: revision {"revision":2}`)

		time.Sleep(20 * time.Second)
		expect(all, ":")

		// A client that reconnects gets the events that it missed.
		emulatortest.Ask(t.Context(), s, "/")
		again := follow(t, s, "", "Last-Event-ID", "3")
		expect(again, `event: revision {"revision":2}; id: 4 event: request /`)

		for _, f := range []*follower{all, tokens, again} {
			f.stop()
			<-f.ended
		}
	})
}

// The number of streams is limited, and a stream that ends makes room for another.
func TestEventStreamsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := emulatortest.Unserved(t, "")
		var open []*follower
		for range 64 {
			open = append(open, follow(t, s, ""))
		}
		excess := follow(t, s, "")
		select {
		case <-excess.ended:
			if excess.Code != http.StatusTooManyRequests {
				t.Errorf("stream 65 got status %d, want 429", excess.Code)
			}
		default: // follow has waited until the stream was refused or open
			t.Error("stream 65 is open, want status 429")
			excess.stop()
			<-excess.ended
		}
		open[0].stop()
		<-open[0].ended
		open[0] = follow(t, s, "")
		for _, f := range open {
			f.stop()
			<-f.ended
			if f.Code != http.StatusOK {
				t.Errorf("status %d", f.Code)
			}
		}
	})
}
