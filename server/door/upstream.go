package door

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"time"

	"gcp-metadata-emulator/server/outward"
)

// upstreams holds the connections to the services behind the doors.
type upstreams struct {
	one, two *http.Transport // HTTP/1, or HTTP/2 with TLS; HTTP/2 without TLS
	starting *starting

	http1, http2     *httputil.ReverseProxy // to services
	onward1, onward2 *httputil.ReverseProxy // of Onward
}

// Limits of connections to upstreams. Idle connections save the time for dialling.
const (
	idlePerUpstream = 256
	idleTimeout     = 90 * time.Second
	dialTimeout     = 10 * time.Second
	continueTimeout = time.Second
)

// hooks are the steps of a reverse proxy that differ between its uses.
type hooks struct {
	rewrite func(*httputil.ProxyRequest)
	receive func(*http.Response) error
	fail    func(http.ResponseWriter, *http.Request, error)
}

// modify completes an answer, and lets the proxy send every piece of its body to the client at once. The
// proxy does so if it does not know the length. FlushInterval would also send the header of an answer
// without a body on its own; in HTTP/2 its last frame would then carry data, and a gRPC client finds no
// trailers in it.
func (h hooks) modify(answer *http.Response) error {
	err := h.receive(answer)
	if answer.ContentLength > 0 {
		answer.ContentLength = -1
	}
	return err
}

func newUpstreams(logger *slog.Logger, patience time.Duration, service hooks) *upstreams {
	dial := dialUpstream(outward.Dialer{Dialer: net.Dialer{Timeout: dialTimeout}})
	one, two := &http.Protocols{}, &http.Protocols{}
	one.SetHTTP1(true)
	one.SetHTTP2(true)
	two.SetUnencryptedHTTP2(true)
	u := &upstreams{one: transport(dial, one), two: transport(dial, two), starting: newStarting(dial, patience)}
	proxy := func(next http.RoundTripper, steps hooks) *httputil.ReverseProxy {
		return &httputil.ReverseProxy{
			Rewrite:        steps.rewrite,
			Transport:      patient{next: next, starting: u.starting},
			ErrorLog:       slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
			BufferPool:     &buffers{},
			ModifyResponse: steps.modify,
			ErrorHandler:   steps.fail,
		}
	}
	u.http1, u.http2 = proxy(u.one, service), proxy(u.two, service)
	u.onward1, u.onward2 = proxy(u.one, onwardHooks()), proxy(u.two, onwardHooks())
	return u
}

// dialFunc is the type of net.Dialer.DialContext.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// dialUpstream returns a function that connects to upstreams. The author of a fixture may name any
// address, but does not decide the address of a name.
func dialUpstream(dialer outward.Dialer) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if outward.IsAddress(address) {
			return dialer.DialNamed(ctx, network, address)
		}
		return dialer.DialContext(ctx, network, address)
	}
}

func transport(dial dialFunc, protocols *http.Protocols) *http.Transport {
	return &http.Transport{
		DialContext:           dial,
		Protocols:             protocols,
		DisableCompression:    true, // encodings are between the client and the service
		MaxIdleConnsPerHost:   idlePerUpstream,
		IdleConnTimeout:       idleTimeout,
		TLSHandshakeTimeout:   dialTimeout,
		ExpectContinueTimeout: continueTimeout,
	}
}

func (u *upstreams) close() {
	u.one.CloseIdleConnections()
	u.two.CloseIdleConnections()
}

// forward sends a request to the upstream of a service.
func (d *Doors) forward(w http.ResponseWriter, r *http.Request, p *passage) {
	r = p.request(r)
	switch {
	case p.service.Upstream == nil:
		d.fail(w, r, errNoUpstream)
	case hops(r) >= maxHops:
		d.fail(w, r, errLoop)
	case p.service.HTTP2:
		d.upstreams.http2.ServeHTTP(w, r)
	case r.ContentLength > maxBytes:
		d.fail(w, r, errRequestTooLarge)
	default:
		d.upstreams.http1.ServeHTTP(w, r)
	}
}

// maxHops is the number of proxies after which a request seems to go in circles. A request through
// real load balancers passes a few.
const maxHops = 32

// hops returns the number of proxies that the request says it has passed.
func hops(r *http.Request) int {
	passed := 0
	for _, addresses := range r.Header["X-Forwarded-For"] {
		passed += strings.Count(addresses, ",") + 1
	}
	return passed
}

// outgoing completes the request to the upstream.
func (p *passage) outgoing(r *httputil.ProxyRequest) {
	readdress(r.Out, r.In, p.service.Upstream.Scheme, p.service.Upstream.Host)
	p.rewrite(r.Out.Header, r.In)
	r.Out.Trailer = r.In.Trailer // net/http fills it in at the end of the body
	dropForgedTrailers(r.Out)
	if !p.service.HTTP2 && r.Out.Body != nil && r.Out.ContentLength < 0 {
		r.Out.Body = &limitedBody{ReadCloser: r.Out.Body, left: maxBytes}
	}
}

// buffers is a pool of buffers for copying bodies.
type buffers struct{ pool sync.Pool }

const bufferSize = 32 << 10

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte {
	if buffer, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return buffer[:]
	}
	return new([bufferSize]byte)[:]
}

// Put implements httputil.BufferPool.
func (b *buffers) Put(buffer []byte) { b.pool.Put((*[bufferSize]byte)(buffer)) }
