package proxy

import (
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestTunnelsAreBounded(t *testing.T) {
	t.Parallel()
	p := New(Config{
		Answers: func(string, string, net.Addr) bool { return true },
		Logger:  slog.New(slog.DiscardHandler),
	})
	handler := p.Handler(NewTunnels(nil))
	for open, want := range map[int64]int{
		maxTunnels:     http.StatusServiceUnavailable,
		maxTunnels - 1: http.StatusNotImplemented, // a recorder cannot become a tunnel
	} {
		p.open.Store(open)
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodConnect, "metadata:80", nil))
		if recorder.Code != want || p.open.Load() != open {
			t.Errorf("with %d tunnels: status %d, then %d are open", open, recorder.Code, p.open.Load())
		}
	}
}
