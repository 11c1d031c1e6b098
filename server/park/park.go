// Package park keeps the connections of requests that wait for long, at little memory.
//
// For each request net/http holds two buffers and a goroutine whose stack has grown. While a request
// waits, this package holds its connection without them. Then it gives the connection back to the
// server: once to write the answer, and again when the client sends its next request. So net/http
// reads every request and writes every answer, and clients see no difference.
//
// The package owns the connections between these moments. It does not know the reasons of the waits.
package park

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// Waiting is the event for which a request waits.
type Waiting interface {
	// Await returns when there may be an answer, or when the context ends. It should keep little on the
	// stack: thousands of requests may be here at the same time.
	Await(ctx context.Context)

	// Answer returns a handler that writes the answer, or nil if the request waits on. After the end of
	// the request's context there must be an answer.
	Answer(r *http.Request) http.Handler
}

// Wait waits, and writes the answer. If the connection can be parked, Wait returns at once, and its
// handler must return too. If a connection has TLS or HTTP/2, or its request has a body, it stays
// with its server.
func Wait(w http.ResponseWriter, r *http.Request, waiting Waiting) {
	isPlain := r.ProtoMajor == 1 && r.TLS == nil && (r.Body == nil || r.Body == http.NoBody)
	if lot := lotOf(r); lot == nil || !isPlain || !lot.park(w, r, waiting) {
		answerTo(r, waiting).ServeHTTP(w, r)
	}
}

// answerTo waits for the answer.
func answerTo(r *http.Request, waiting Waiting) http.Handler {
	for {
		waiting.Await(r.Context())
		if answer := waiting.Answer(r); answer != nil {
			return answer
		}
	}
}

// lotOf returns the lot of the server that has received a request, or nil.
func lotOf(r *http.Request) *Lot {
	server, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	if server == nil {
		return nil
	}
	parking, _ := server.Handler.(*handler)
	if parking == nil {
		return nil
	}
	return parking.lot
}

// Lot holds the parked connections of one server. It is a listener too: the server accepts
// connections that come back.
type Lot struct {
	server  *http.Server
	address net.Addr
	serving context.Context // at its end all waits end

	back   chan net.Conn
	closed chan struct{}
	close  func()

	mu         sync.Mutex
	unanswered int           // requests that wait, or whose answer has not begun
	drained    chan struct{} // closed when there are none; nil if nobody listens
}

// New returns a lot for a server that does not serve yet. At the end of the context all waits end, with
// its cause, and idle connections are closed. The server must serve the lot, besides the listener with
// the given address.
func New(serving context.Context, server *http.Server, address net.Addr) *Lot {
	l := &Lot{server: server, address: address, serving: serving, back: make(chan net.Conn), closed: make(chan struct{})}
	l.close = sync.OnceFunc(func() { close(l.closed) })
	server.Handler = &handler{lot: l, next: server.Handler}
	server.ConnContext = l.context(server.ConnContext)
	server.ConnState = l.track(server.ConnState)
	return l
}

// Drain waits until the server has written the answers of all waiting requests, or until the context
// ends. Call it after the end of the context of New, and before http.Server.Shutdown, which drops
// connections that come back later.
func (l *Lot) Drain(ctx context.Context) {
	l.mu.Lock()
	if l.unanswered == 0 {
		l.mu.Unlock()
		return
	}
	drained := make(chan struct{})
	l.drained = drained
	l.mu.Unlock()
	select {
	case <-drained:
	case <-ctx.Done():
	}
}

// Accept returns the next connection that comes back.
func (l *Lot) Accept() (net.Conn, error) {
	select {
	case conn := <-l.back:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close makes the lot close connections in place of giving them back.
func (l *Lot) Close() error {
	l.close()
	return nil
}

// Addr returns the address of the server.
func (l *Lot) Addr() net.Addr { return l.address }

// enter counts a request. It returns false if requests must not wait anymore.
func (l *Lot) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.serving.Err() != nil {
		return false
	}
	l.unanswered++
	return true
}

// leave ends the count of a request.
func (l *Lot) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unanswered--
	if l.unanswered == 0 && l.drained != nil {
		close(l.drained)
	}
}

// giveBack gives a connection to the server.
func (l *Lot) giveBack(conn net.Conn) {
	select {
	case l.back <- conn:
	case <-l.closed:
		_ = conn.Close() // the server has stopped
	}
}

// context lets the handler find the answer of a connection that has come back for it.
func (l *Lot) context(next func(context.Context, net.Conn) context.Context) func(context.Context, net.Conn) context.Context {
	return func(ctx context.Context, conn net.Conn) context.Context {
		if next != nil {
			ctx = next(ctx, conn)
		}
		if answering, ok := conn.(*answering); ok {
			ctx = context.WithValue(ctx, answeringKey{}, answering)
		}
		return ctx
	}
}

// track notes which connections can be used again. If a connection has come back, it has had a
// request. The next function must learn of this request before it sees the connection.
func (l *Lot) track(next func(net.Conn, http.ConnState)) func(net.Conn, http.ConnState) {
	return func(conn net.Conn, state http.ConnState) {
		answering, isAnswering := conn.(*answering)
		if isAnswering && state == http.StateIdle {
			answering.reusable.Store(true)
		}
		if next == nil {
			return
		}
		next(conn, state)
		if isAnswering && state == http.StateNew {
			next(conn, http.StateActive)
		}
	}
}

type answeringKey struct{}

// handler writes the answers of connections that have come back, and passes other requests on.
type handler struct {
	lot  *Lot
	next http.Handler
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.RequestURI == anyTarget { // rarely a client's request, so that most requests save the look-up
		if answering, ok := r.Context().Value(answeringKey{}).(*answering); ok {
			answering.begin()
			answering.answer.ServeHTTP(w, r)
			return
		}
	}
	h.next.ServeHTTP(w, r)
}
