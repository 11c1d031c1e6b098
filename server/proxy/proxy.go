// Package proxy is the emulator as a forward proxy: it answers CONNECT and absolute-form
// requests (RFC 9110, section 9.3.6; RFC 9112, section 3.2.2) for the hosts that the emulator
// plays, with certificates of its own authority, and refuses others or passes them on.
//
// What a client sends once it is connected, TLS or plain HTTP, goes to the emulator's own
// server by way of [Tunnels], with the host that the client meant. Who answers for which host
// is not decided here, nor what; certificates are package keys's.
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
	"gcp-metadata-emulator/server/errorpage"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/wire"
)

// Config is what a proxy is made of. Every field but Allowed is needed.
type Config struct {
	// Handler answers what is not for a proxy, and what is proxied to the emulator.
	Handler http.Handler
	// Answers tells whether the emulator answers for a host and port, of a client that came
	// in at the address given.
	Answers func(host, port string, at net.Addr) bool
	// Authority certifies the names under which the emulator answers.
	Authority func() (*keys.Authority, error)
	// Allowed are the other hosts to which requests are passed on. Where one of them is a name
	// of Google's, and not any host, it is not answered for.
	Allowed []hostname.Target
	Logger  *slog.Logger
}

// Limits of tunnels.
const (
	// maxFiles is how many file descriptors they take at once, where the process may have many.
	maxFiles = 4096
	// usualFileLimit is how many the process is taken to have where the system does not say.
	usualFileLimit = 2 * maxFiles
	// patience is how long a client may take to send the first byte into its tunnel, and
	// another host to accept a connection.
	patience = 10 * time.Second
	// answerPatience is how long another host may take to answer a request that was passed on.
	answerPatience = 5 * time.Minute
	// silence is how long a tunnel to another host may carry nothing.
	silence = 10 * time.Minute
)

// Proxy is a forward proxy. It is safe for concurrent use.
type Proxy struct {
	Config

	dial    func(ctx context.Context, network, address string) (net.Conn, error) // to other hosts
	forward func() http.Handler                                                  // passes absolute-form requests on
	files   atomic.Int64                                                         // that tunnels and other hosts have open
	most    int64                                                                // of them
	secure  secure
}

// New is a proxy.
func New(config Config) *Proxy {
	p := &Proxy{Config: config, dial: (&net.Dialer{}).DialContext, most: share(fileLimit())}
	p.forward = sync.OnceValue(p.newForwarder)
	p.secure.authority, p.secure.logger = config.Authority, config.Logger
	return p
}

// Handler answers requests of connections whose tunnels are given to a listener, which their
// server has to accept from as well.
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

// absolute answers a request in absolute form. One without a path, as Java's and Python's
// libraries send it to see whether there is a metadata server, is for the root (RFC 9112,
// section 3.2.1).
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

// connect answers CONNECT.
func (p *Proxy) connect(w http.ResponseWriter, r *http.Request, tunnels *Tunnels) {
	host, port, err := net.SplitHostPort(r.URL.Host)
	name := hostname.Of(host)
	target := p.destination(r, name, port)
	switch {
	case err != nil || host == "" || port == "":
		p.say(w, r, http.StatusBadRequest, "CONNECT needs a host and a port.\n")
	case r.ContentLength != 0: // what follows would be taken for the tunnel's
		p.say(w, r, http.StatusBadRequest, "CONNECT has no body.\n")
	case wire.IsProxied(r.Context()):
		p.say(w, r, http.StatusForbidden, "A tunnel leads to no other one.\n")
	case target == nowhere:
		p.refuse(w, r, name)
	case target == elsewhere:
		if release := p.take(w, r, 2); release != nil {
			defer release()
			p.pass(w, r)
		}
	default:
		if release := p.take(w, r, 1); release != nil {
			p.open(w, r, name, release, tunnels)
		}
	}
}

// take counts so many file descriptors, until they are released; nil: there are too many, and the
// client has been told.
func (p *Proxy) take(w http.ResponseWriter, r *http.Request, count int64) (release func()) {
	if p.files.Add(count) <= p.most {
		return sync.OnceFunc(func() { p.files.Add(-count) })
	}
	p.files.Add(-count)
	p.Logger.WarnContext(r.Context(), "too many tunnels are open", "limit", p.most, "program", r.UserAgent())
	w.Header().Set("Connection", "close") // it takes one as well
	p.say(w, r, http.StatusServiceUnavailable, "The emulator's proxy has too many tunnels open.\n")
	return nil
}

// share is how many of so many file descriptors are for tunnels. Plain requests have the others.
func share(files uint64) int64 {
	const least = 64
	others := max(least, files/4)
	if files <= others {
		return least / 4 // there is nothing to share
	}
	return int64(min(maxFiles, files-others))
}

// open opens a tunnel to the emulator.
func (p *Proxy) open(w http.ResponseWriter, r *http.Request, name string, release func(), tunnels *Tunnels) {
	conn, err := hijack(w, name, release)
	if err != nil {
		release()
		p.say(w, r, http.StatusNotImplemented, "CONNECT needs HTTP/1.1.\n")
		return
	}
	p.receive(r.Context(), conn, tunnels)
}

// receive accepts a tunnel, and gives it to the server once it is known what it carries.
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

// destination is where a proxied request goes.
type destination int

const (
	nowhere   destination = iota // it is refused
	here                         // the emulator answers
	elsewhere                    // it is passed on
)

func (p *Proxy) destination(r *http.Request, host, port string) destination {
	at, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	matches := func(t hostname.Target) bool { return t.Matches(host, port) }
	switch isGoogles := hostname.IsOfGoogle(host); {
	case isGoogles && slices.ContainsFunc(p.Allowed, func(t hostname.Target) bool { return matches(t) && !t.IsAny() }):
		return elsewhere
	case p.Answers(host, port, at):
		return here
	case slices.ContainsFunc(p.Allowed, matches):
		return elsewhere
	default:
		return nowhere
	}
}

// refuse says that a host is none of ours.
func (p *Proxy) refuse(w http.ResponseWriter, r *http.Request, host string) {
	p.Logger.InfoContext(r.Context(), "refused to proxy", "host", host, "program", r.UserAgent())
	p.say(w, r, http.StatusForbidden, fmt.Sprintf(
		"The emulator does not proxy to host %q.\nhint: start it with --proxy-allow %s\n", host, host))
}

// say answers for the proxy itself.
func (p *Proxy) say(w http.ResponseWriter, r *http.Request, status int, text string) {
	wire.Dialect{Error: errorpage.Error}.Adapt(p.Logger, func(*http.Request) (wire.Response, error) {
		return wire.Response{Status: status, ContentType: "text/plain; charset=utf-8", Body: text}, nil
	}).ServeHTTP(w, r)
}
