package load

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// grace is the time for the last answer after the end of a run. It is far longer than an answer takes on a
// busy machine.
const grace = 5 * time.Minute

// Limits end a run as soon as one of them is reached.
type Limits struct {
	Connections int
	Duration    time.Duration
	Requests    int64
}

// Result holds the measurements of a run.
type Result struct {
	Elapsed   time.Duration
	Latencies Histogram
}

// Rate returns the number of answers per second.
func (r *Result) Rate() float64 {
	return float64(r.Latencies.Count()) / r.Elapsed.Seconds()
}

// Add adds the measurements of another run.
func (r *Result) Add(other *Result) {
	r.Elapsed += other.Elapsed
	r.Latencies.Add(&other.Latencies)
}

// Run sends requests from template to the server at addr. Each connection has one request under
// way at a time, and sends the next when it has read the answer. The first failure, such as an
// answer other than 200, ends the run.
func Run(ctx context.Context, addr string, template *Template, limits Limits) (*Result, error) {
	session, err := Open(ctx, addr, template, limits.Connections)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	return session.Run(ctx, limits)
}

// Session is a number of connections for several runs, so that these do not measure how a server accepts
// connections.
type Session struct {
	template *Template
	workers  []*worker
}

// Open connects to the server at addr.
func Open(ctx context.Context, addr string, template *Template, connections int) (*Session, error) {
	dial := template.Dial
	if dial == nil {
		dial = direct
	}
	workers, err := open(ctx, addr, connections, dial)
	if err != nil {
		closeAll(workers)
		return nil, err
	}
	return &Session{template, workers}, nil
}

// Close closes the connections.
func (s *Session) Close() { closeAll(s.workers) }

// Run does the same as the function Run, with all connections of the session.
func (s *Session) Run(ctx context.Context, limits Limits) (*Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// Closing the connections ends blocked reads when ctx ends.
	defer context.AfterFunc(ctx, s.Close)()

	begin := Now()
	end := begin.Add(limits.Duration)
	budget := &atomic.Int64{}
	budget.Store(limits.Requests)
	var running sync.WaitGroup
	for _, w := range s.workers {
		running.Go(func() {
			if err := w.run(s.template, end, budget); err != nil {
				cancel(err)
			}
		})
	}
	running.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}

	result := &Result{}
	for _, w := range s.workers {
		result.Latencies.Add(&w.latencies)
		result.Elapsed = max(result.Elapsed, w.last.Sub(begin))
	}
	return result, nil
}

// worker is one connection with its measurements.
type worker struct {
	conn      net.Conn
	responses *Responses
	latencies Histogram
	last      time.Time // the time of the last answer
}

// open connects all workers. If it fails, it also returns the workers connected so far.
func open(
	ctx context.Context, addr string, connections int, dial func(context.Context, string) (net.Conn, error),
) ([]*worker, error) {
	var workers []*worker
	for range connections {
		conn, err := dial(ctx, addr)
		if err != nil {
			return workers, err
		}
		workers = append(workers, &worker{conn: conn, responses: NewResponses(conn)})
	}
	return workers, nil
}

// direct connects to a server.
func direct(ctx context.Context, addr string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: grace}
	return dialer.DialContext(ctx, "tcp", addr)
}

func closeAll(workers []*worker) {
	for _, w := range workers {
		_ = w.conn.Close() // may be closed already, so errors do not matter
	}
}

// run sends requests until the end or until the common budget is spent.
func (w *worker) run(template *Template, end time.Time, budget *atomic.Int64) error {
	if err := w.conn.SetDeadline(end.Add(grace)); err != nil {
		return err
	}
	w.latencies = Histogram{}
	var buf []byte
	// The loop reads the time once per request: the time of an answer is also the start of the
	// next request.
	w.last = Now()
	for (w.last.Before(end) || w.latencies.Count() == 0) && budget.Add(-1) >= 0 { // a short run may begin late
		buf = template.Next(buf)
		if _, err := w.conn.Write(buf); err != nil {
			return err
		}
		if err := w.responses.Next(); err != nil {
			return err
		}
		answered := Now()
		w.latencies.Record(answered.Sub(w.last))
		w.last = answered
	}
	return nil
}
