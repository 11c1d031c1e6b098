package proxy

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"

	"gcp-metadata-emulator/server/hostname"
)

// pass connects a client with another host, and is done when both have nothing more to say.
func (p *Proxy) pass(w http.ResponseWriter, r *http.Request) {
	dialer := net.Dialer{Timeout: patience}
	there, err := dialer.DialContext(r.Context(), "tcp", r.URL.Host)
	if err != nil {
		p.unreachable(w, r, err)
		return
	}
	defer func() { _ = there.Close() }() // everything has been said
	here, err := hijack(w, hostname.Of(r.URL.Host), func() {})
	if err != nil {
		p.say(w, r, http.StatusNotImplemented, "CONNECT needs HTTP/1.1.\n")
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
	var copies sync.WaitGroup
	copies.Go(func() { copyAll(there, here) })
	copies.Go(func() { copyAll(here.Conn, there) })
	copies.Wait()
}

// copyAll copies to the end, and says that it has come. Where one side has gone the other one
// is cut off.
func copyAll(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if half, ok := to.(interface{ CloseWrite() error }); ok && err == nil {
		_ = half.CloseWrite() // it may have gone meanwhile, and the other copy ends
		return
	}
	_, _ = to.Close(), from.Close() // nothing is lost that could still arrive
}

// newForwarder passes requests in absolute form on. What is sent is what the client sent: the
// other host is not told that there is a proxy.
func (p *Proxy) newForwarder() http.Handler {
	return &httputil.ReverseProxy{
		Rewrite:      func(*httputil.ProxyRequest) {}, // with one, nothing is added
		Transport:    &http.Transport{Proxy: nil, DisableKeepAlives: true},
		ErrorLog:     slog.NewLogLogger(p.Logger.Handler(), slog.LevelDebug),
		ErrorHandler: p.unreachable,
	}
}

func (p *Proxy) unreachable(w http.ResponseWriter, r *http.Request, err error) {
	p.say(w, r, http.StatusBadGateway, fmt.Sprintf("The emulator cannot reach %q: %v\n", r.URL.Host, err))
}
