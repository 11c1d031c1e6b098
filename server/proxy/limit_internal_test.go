package proxy

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gcp-metadata-emulator/server/wire"
)

func TestTunnelsAreBounded(t *testing.T) {
	t.Parallel()
	var logged strings.Builder
	p := New(Config{
		Answers: func(string, string, net.Addr) bool { return true },
		Logger:  slog.New(slog.NewTextHandler(&logged, nil)),
		Refused: func(*http.Request, wire.Response) {},
	})
	handler := p.Handler(NewTunnels(nil))
	for open, want := range map[int64]int{
		p.most:     http.StatusServiceUnavailable,
		p.most - 1: http.StatusNotImplemented, // a recorder cannot become a tunnel
	} {
		logged.Reset()
		p.files.Store(open)
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodConnect, "metadata:80", nil))
		isFull := want == http.StatusServiceUnavailable
		if recorder.Code != want || p.files.Load() != open {
			t.Errorf("with %d tunnels: status %d, then %d are open", open, recorder.Code, p.files.Load())
		}
		if (recorder.Header().Get("Connection") == "close") != isFull || strings.Contains(logged.String(), "level=WARN") != isFull {
			t.Errorf("with %d tunnels: %v, logged %q", open, recorder.Header(), &logged)
		}
	}
}

// Every connection counts as long as it uses a file descriptor.
func TestOtherHostsAreBounded(t *testing.T) {
	t.Parallel()
	var p *Proxy
	var taken int64
	p = passing(t, func(context.Context, string, string) (net.Conn, error) {
		taken = p.files.Load()
		return nil, io.EOF
	})
	for name, want := range map[string]int64{"absolute form": 1, "CONNECT": 2} {
		p.files.Store(0)
		if answer := ask(p, requests()[name]); answer.Code != http.StatusBadGateway || taken != want || p.files.Load() != 0 {
			t.Errorf("%s: %d with %d taken, then %d", name, answer.Code, taken, p.files.Load())
		}
		p.files.Store(p.most)
		if answer := ask(p, requests()[name]); answer.Code != http.StatusServiceUnavailable || p.files.Load() != p.most {
			t.Errorf("%s: %d with none left, then %d", name, answer.Code, p.files.Load())
		}
	}
}

func TestShare(t *testing.T) {
	t.Parallel()
	for files, want := range map[uint64]int64{
		0: 16, 64: 16, 100: 36, 128: 64, 1024: 768, 5462: 4096, 1 << 20: 4096, math.MaxUint64: 4096,
	} {
		if got := share(files); got != want {
			t.Errorf("of %d file descriptors %d are for tunnels, want %d", files, got, want)
		}
	}
	if fileLimit() < 64 {
		t.Errorf("the process may have %d", fileLimit())
	}
}

// hijackable is a response writer with Hijack.
type hijackable struct {
	*httptest.ResponseRecorder

	conn net.Conn
}

func (h *hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReader(h.conn), bufio.NewWriter(h.conn)), nil
}

// An idle tunnel to another host is closed; a tunnel in use stays open.
func TestQuietTunnelEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		there, other := net.Pipe()
		p := passing(t, func(context.Context, string, string) (net.Conn, error) { return there, nil })
		client, conn := net.Pipe()
		var passed time.Duration
		done := make(chan struct{})
		begun := time.Now()
		go func() {
			defer close(done)
			p.Handler(NewTunnels(nil)).ServeHTTP(&hijackable{httptest.NewRecorder(), conn}, requests()["CONNECT"])
			passed = time.Since(begun)
		}()
		read := func(from io.Reader, want string) {
			t.Helper()
			got := make([]byte, len(want))
			if _, err := io.ReadFull(from, got); err != nil || string(got) != want {
				t.Errorf("%q, %v", got, err)
			}
		}
		read(client, established)
		for _, from := range []net.Conn{client, other} {
			time.Sleep(silence - time.Second)
			_, _ = io.WriteString(from, "x")
			read(map[net.Conn]net.Conn{client: other, other: client}[from], "x")
		}
		<-done
		if want := 2*(silence-time.Second) + silence; passed != want {
			t.Errorf("ended after %v, want %v", passed, want)
		}
		if p.files.Load() != 0 {
			t.Error("the connection is still counted")
		}
	})
}
