package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"sync"
	"syscall"
	"time"

	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/outward"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/router/hostname"
)

// pass connects a client with another host until both sides have finished.
func (p *Proxy) pass(w http.ResponseWriter, r *http.Request) {
	there, err := p.reach(r.Context(), "tcp", r.URL.Host)
	if err != nil {
		p.unreachable(w, r, err)
		return
	}
	defer func() { _ = there.Close() }() // both sides have finished
	here, err := hijack(w, hostname.Of(r.URL.Host), func() {})
	if err != nil {
		p.say(w, r, needsHTTP1())
		return
	}
	defer here.abandon()
	defer context.AfterFunc(r.Context(), func() {
		here.abandon()
		_ = there.Close() // the server is being stopped
	})()
	if _, err := io.WriteString(here, established); err != nil {
		return
	}
	quiet := time.AfterFunc(silence, func() {
		here.abandon()
		_ = there.Close()
	})
	defer quiet.Stop()
	var copies sync.WaitGroup
	copies.Go(func() { copyAll(there, here, quiet) })
	copies.Go(func() { copyAll(here.Conn, there, quiet) })
	copies.Wait()
}

// copyAll copies until the end of the stream and passes the end on. If a side fails, it closes
// both. Every read resets the timer.
func copyAll(to, from net.Conn, quiet *time.Timer) {
	_, err := io.Copy(to, heard{from, quiet})
	if half, ok := to.(interface{ CloseWrite() error }); ok && err == nil {
		_ = half.CloseWrite() // if this fails, the other copy ends too
		return
	}
	_, _ = to.Close(), from.Close() // no more data can arrive
}

// heard is a reader that resets a timer at every read.
type heard struct {
	io.Reader

	quiet *time.Timer
}

func (h heard) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p)
	h.quiet.Reset(silence)
	return n, err
}

// reach connects to another host within patience.
func (p *Proxy) reach(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if p.isNamed(address) {
		return p.dialNamed(ctx, network, address)
	}
	return p.dial(ctx, network, address)
}

// isNamed reports whether a person has named the address itself, and not only a host whose owner can
// change its address. The metadata server may be named by its name.
func (p *Proxy) isNamed(hostport string) bool {
	_, port, _ := net.SplitHostPort(hostport)
	host := hostname.Of(hostport)
	return (outward.IsAddress(hostport) || hostname.IsMetadata(host)) &&
		slices.ContainsFunc(p.Allowed, func(t hostname.Target) bool { return t.Names(host, port) })
}

// newForwarder returns a handler that forwards requests in absolute form and returns the answers.
// It changes only the fields about connections (RFC 9110, section 7.6.1), so neither side notices
// the proxy.
func (p *Proxy) newForwarder() http.Handler {
	forwarder := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { // ReverseProxy adds no fields if Rewrite is set
			for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
				if values, ok := r.In.Header[name]; ok {
					r.Out.Header[name] = values
				}
			}
			r.Out.URL.RawQuery = r.In.URL.RawQuery
		},
		Transport: &http.Transport{
			Proxy:                 nil,
			DialContext:           p.reach,
			TLSHandshakeTimeout:   patience,
			ResponseHeaderTimeout: answerPatience,
			DisableKeepAlives:     true,
			DisableCompression:    true, // the two sides agree on compression
		},
		ErrorLog:     slog.NewLogLogger(p.Logger.Handler(), slog.LevelDebug),
		ErrorHandler: p.unreachable,
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // an upload may take long; HTTP/2 has no deadline
		forwarder.ServeHTTP(w, r)
	})
}

// unreachable answers with the reason why another host did not answer.
func (p *Proxy) unreachable(w http.ResponseWriter, r *http.Request, err error) {
	p.Logger.DebugContext(r.Context(), "cannot reach another host", "host", r.URL.Host, "error", err)
	if spared, ok := errors.AsType[*outward.SparedError](err); ok {
		p.spared(w, r, spared)
		return
	}
	status, why := http.StatusBadGateway, "the connection failed"
	var timeout net.Error
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &name) && name.IsNotFound:
		why = "there is no such host"
	case errors.As(err, &timeout) && timeout.Timeout():
		status, why = http.StatusGatewayTimeout, "it does not answer"
	case errors.Is(err, syscall.ECONNREFUSED):
		why = "it refuses the connection"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		why = "this machine has no route to it"
	case errors.As(err, &certificate):
		why = "this machine does not trust its certificate"
	}
	p.say(w, r, refusal(status, fmt.Sprintf("The emulator cannot reach %q: %s.\n", r.URL.Host, why), journal.Refusal{
		Code: reason.Unreachable, Reason: fmt.Sprintf("the emulator cannot reach %q: %s", r.URL.Host, why),
		Hint: "try to reach this host from this machine without the proxy",
	}))
}
