package door

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// patient repeats a request when its upstream has started. This is safe, because an upstream that
// refuses the connection has received nothing.
type patient struct {
	next     http.RoundTripper
	starting *starting
}

// RoundTrip implements http.RoundTripper.
func (p patient) RoundTrip(r *http.Request) (*http.Response, error) {
	attempt := r
	if r.Body != nil && r.Body != http.NoBody {
		attempt = new(http.Request)
		*attempt = *r
		attempt.Body = unclosed{r.Body}
	}
	answer, err := p.next.RoundTrip(attempt)
	if errors.Is(err, syscall.ECONNREFUSED) && p.starting.await(r.Context(), hostport(r)) {
		answer, err = p.next.RoundTrip(attempt)
	}
	if answer != nil {
		answer.Request = r
	}
	return answer, err
}

// unclosed is a body that a transport cannot close, so the next attempt can read it.
type unclosed struct{ io.Reader }

// Close implements io.Closer.
func (unclosed) Close() error { return nil }

// hostport returns the address to which a request is sent.
func hostport(r *http.Request) string {
	if r.URL.Port() != "" {
		return r.URL.Host
	}
	return net.JoinHostPort(r.URL.Hostname(), r.URL.Scheme) // net knows the ports of http and https
}

// starting holds the upstreams with waiting requests. One goroutine per upstream tries to connect,
// as long as a request waits.
type starting struct {
	dial     dialFunc
	patience time.Duration

	mu      sync.Mutex
	lookout map[string]*lookout // by address
}

func newStarting(dial dialFunc, patience time.Duration) *starting {
	return &starting{dial: dial, patience: patience, lookout: map[string]*lookout{}}
}

// lookout is the wait for one upstream.
type lookout struct {
	waiting int // requests; starting.mu guards it
	stop    context.CancelFunc
	over    chan struct{} // closed when it has ended
	started bool          // once it has
}

// await waits for an upstream to start, and reports whether it has.
func (s *starting) await(ctx context.Context, address string) bool {
	if s.patience < 0 {
		return false
	}
	look := s.join(ctx, address)
	defer s.leave(address, look)
	select {
	case <-look.over:
		return look.started
	case <-ctx.Done():
		return false
	}
}

func (s *starting) join(ctx context.Context, address string) *lookout {
	s.mu.Lock()
	defer s.mu.Unlock()
	look, ok := s.lookout[address]
	if !ok {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.patience) // others may join
		look = &lookout{stop: cancel, over: make(chan struct{})}
		s.lookout[address] = look
		go s.look(ctx, address, look)
	}
	look.waiting++
	return look
}

// leave ends the lookout if no other request waits.
func (s *starting) leave(address string, look *lookout) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if look.waiting--; look.waiting == 0 {
		look.stop()
		s.forget(address, look)
	}
}

// forget removes a lookout, so that the next request begins another. The caller must hold mu.
func (s *starting) forget(address string, look *lookout) {
	if s.lookout[address] == look {
		delete(s.lookout, address)
	}
}

func (s *starting) look(ctx context.Context, address string, look *lookout) {
	defer look.stop()
	const interval = 50 * time.Millisecond
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		if conn, err := s.dial(ctx, "tcp", address); err == nil {
			_ = conn.Close() // it has served its purpose
			look.started = true
		}
		if look.started || ctx.Err() != nil {
			break
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(address, look)
	close(look.over)
}
