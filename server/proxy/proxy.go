// Package proxy makes the emulator a forward proxy. It handles CONNECT and absolute-form
// requests (RFC 9110, section 9.3.6; RFC 9112, section 3.2.2). For the emulator's hosts it
// answers with certificates of its own authority; it refuses other hosts or passes them on.
//
// After CONNECT, the client's TLS or plain HTTP goes through [Tunnels] to the emulator's own
// server, with the requested host. The package does not decide which surface serves a host.
// Package keys owns the certificates.
package proxy

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/outward"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/wire"
)

// Config configures a proxy. Every field except Allowed is required.
type Config struct {
	// Handler serves requests outside the proxy protocol, and proxied requests to the emulator.
	Handler http.Handler
	// Answers reports whether the emulator serves a host and port for a client at the local
	// address at.
	Answers func(host, port string, at net.Addr) bool
	// Authority returns the authority for the emulator's host names.
	Authority func() (*keys.Authority, error)
	// Allowed lists further hosts; the proxy passes requests to them on. If an entry means one of
	// Google's hosts (hostname.Target.MeansGoogles), the emulator does not serve this host.
	Allowed []hostname.Target
	Logger  *slog.Logger
	// Refused is told of every request that the proxy answers with an error by itself.
	Refused func(*http.Request, wire.Response)
}

// Limits of tunnels.
const (
	// maxFiles limits the file descriptors of all tunnels together.
	maxFiles = 4096
	// usualFileLimit is the assumed limit of the process if the system reports none.
	usualFileLimit = 2 * maxFiles
	// patience limits the time until a client's first byte in its tunnel, and until another
	// host accepts a connection.
	patience = 10 * time.Second
	// answerPatience limits the time until another host answers a forwarded request.
	answerPatience = 5 * time.Minute
	// silence limits the idle time of a tunnel to another host.
	silence = 10 * time.Minute
)

// Proxy is a forward proxy. It is safe for concurrent use.
type Proxy struct {
	Config

	dial, dialNamed dialFunc            // to other hosts
	forward         func() http.Handler // handles absolute-form requests to other hosts
	tunnels         atomic.Int64        // the open tunnels
	files           atomic.Int64        // the file descriptors in use by tunnels and forwarded requests
	most            int64               // the limit of files
	secure          secure
}

// dialFunc is the type of net.Dialer.DialContext.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// New returns a proxy.
func New(config Config) *Proxy {
	var dialer outward.Dialer
	p := &Proxy{Config: config, dial: dialer.DialContext, dialNamed: dialer.DialNamed, most: share(fileLimit())}
	p.forward = sync.OnceValue(p.newForwarder)
	p.secure.authority, p.secure.logger, p.secure.distrust = config.Authority, config.Logger, newDistrust(config.Logger)
	return p
}

// Handler returns a handler for a server's connections. It gives their tunnels to a listener,
// and the server must accept connections from that listener too.
func (p *Proxy) Handler(tunnels *Tunnels) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodConnect:
			p.connect(w, r, tunnels)
		case r.URL.Host != "": // in absolute form
			p.absolute(w, r)
		default:
			p.Config.Handler.ServeHTTP(w, r)
		}
	})
}

// absolute handles a request in absolute form. A missing path means the root (RFC 9112, section
// 3.2.1): Java's and Python's libraries send such requests to detect a metadata server.
func (p *Proxy) absolute(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "" {
		r = r.Clone(r.Context())
		r.URL.Path = "/"
	}
	port := r.URL.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[r.URL.Scheme]
	}
	host := hostname.Of(r.URL.Host)
	switch p.destination(r, host, port) {
	case here:
		p.Config.Handler.ServeHTTP(w, r.WithContext(wire.WithProxied(r.Context())))
	case elsewhere:
		if release := p.take(w, r, 1); release != nil {
			defer release()
			p.forward().ServeHTTP(w, r)
		}
	case nowhere:
		p.refuse(w, r, host)
	}
}

// connect handles CONNECT.
func (p *Proxy) connect(w http.ResponseWriter, r *http.Request, tunnels *Tunnels) {
	host, port, err := net.SplitHostPort(r.URL.Host)
	name := hostname.Of(host)
	target := p.destination(r, name, port)
	switch {
	case err != nil || host == "" || port == "":
		p.say(w, r, badConnect(http.StatusBadRequest, "CONNECT needs a host and a port", "write CONNECT HOST:PORT"))
	case r.ContentLength != 0: // the body would become part of the tunnel
		p.say(w, r, badConnect(http.StatusBadRequest, "CONNECT has no body", "send the body in the tunnel"))
	case wire.IsProxied(r.Context()):
		p.say(w, r, badConnect(http.StatusForbidden, "A tunnel cannot lead to another tunnel", "configure the emulator as a proxy once"))
	case target == nowhere:
		p.refuse(w, r, name)
	case target == elsewhere:
		if release := p.takeTunnel(w, r, 2); release != nil {
			defer release()
			p.pass(w, r)
		}
	default:
		if release := p.takeTunnel(w, r, 1); release != nil {
			p.open(w, r, name, release, tunnels)
		}
	}
}

// take reserves count file descriptors until release is called. It returns nil and answers the
// client if too many are in use.
func (p *Proxy) take(w http.ResponseWriter, r *http.Request, count int64) (release func()) {
	if p.files.Add(count) <= p.most {
		return sync.OnceFunc(func() { p.files.Add(-count) })
	}
	p.files.Add(-count)
	p.Logger.WarnContext(r.Context(), "too many tunnels are open", "limit", p.most, "program", r.UserAgent())
	w.Header().Set("Connection", "close") // the connection itself uses a descriptor
	p.say(w, r, refusal(http.StatusServiceUnavailable, "The emulator's proxy has too many tunnels open.\n", journal.Refusal{
		Code:   reason.TooManyTunnels,
		Reason: fmt.Sprintf("the proxy has %d files open for tunnels, and no more are allowed", p.most),
		Hint:   "close idle connections, or raise the limit of open files: ulimit -n",
	}))
	return nil
}

// takeTunnel is take for a tunnel, which counts as open until release is called.
func (p *Proxy) takeTunnel(w http.ResponseWriter, r *http.Request, count int64) (release func()) {
	give := p.take(w, r, count)
	if give == nil {
		return nil
	}
	p.tunnels.Add(1)
	return sync.OnceFunc(func() {
		p.tunnels.Add(-1)
		give()
	})
}

// Tunnels returns the number of open tunnels.
func (p *Proxy) Tunnels() int { return int(p.tunnels.Load()) }

// share returns the number of file descriptors for tunnels, of the given total. The rest is for
// plain requests.
func share(files uint64) int64 {
	const least = 64
	others := max(least, files/4)
	if files <= others {
		return least / 4 // too few to share
	}
	return int64(min(maxFiles, files-others))
}

// open opens a tunnel to the emulator.
func (p *Proxy) open(w http.ResponseWriter, r *http.Request, name string, release func(), tunnels *Tunnels) {
	conn, err := hijack(w, name, release)
	if err != nil {
		release()
		p.say(w, r, needsHTTP1())
		return
	}
	conn.program = r.UserAgent()
	p.receive(r.Context(), conn, tunnels)
}

// receive accepts a tunnel, detects whether it carries TLS, and gives it to the server.
func (p *Proxy) receive(ctx context.Context, conn *tunnel, tunnels *Tunnels) {
	isStopped := context.AfterFunc(ctx, conn.abandon)
	late := time.AfterFunc(patience, conn.abandon)
	first, err := conn.accept()
	if !late.Stop() || !isStopped() || err != nil {
		conn.abandon()
		return
	}
	var carried net.Conn = conn
	if first == recordTypeHandshake {
		carried = p.secure.server(conn)
	}
	tunnels.give(carried)
}

// destination is the destination of a proxied request.
type destination int

const (
	nowhere   destination = iota // the proxy refuses the request
	here                         // the emulator answers
	elsewhere                    // the proxy passes the request on
)

func (p *Proxy) destination(r *http.Request, host, port string) destination {
	at, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	switch isGoogles := hostname.IsOfGoogle(host); {
	case isGoogles && slices.ContainsFunc(p.Allowed, func(t hostname.Target) bool { return t.MeansGoogles(host, port) }):
		return elsewhere
	case p.Answers(host, port, at):
		return here
	case slices.ContainsFunc(p.Allowed, func(t hostname.Target) bool { return t.Includes(host, port) }):
		return elsewhere
	default:
		return nowhere
	}
}
