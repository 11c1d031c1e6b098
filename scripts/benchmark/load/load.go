package load

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// grace is how long after the end of a run a last answer may still come.
const grace = 10 * time.Second

// Limits end a run: whichever is reached first.
type Limits struct {
	Connections int
	Duration    time.Duration
	Requests    int64
}

// Result is what a run measured.
type Result struct {
	Elapsed   time.Duration
	Latencies Histogram
}

// Rate is the number of requests answered per second.
func (r *Result) Rate() float64 {
	return float64(r.Latencies.Count()) / r.Elapsed.Seconds()
}

// Add makes two runs one.
func (r *Result) Add(other *Result) {
	r.Elapsed += other.Elapsed
	r.Latencies.Add(&other.Latencies)
}

// Run sends requests made from template to the server at addr. Each connection
// has one request under way at a time and sends the next one as soon as the
// answer has come. The first failure, such as an answer other than 200, ends
// the run.
func Run(ctx context.Context, addr string, template *Template, limits Limits) (*Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	dial := template.Dial
	if dial == nil {
		dial = direct
	}
	workers, err := open(ctx, addr, limits.Connections, dial)
	defer closeAll(workers)
	if err != nil {
		return nil, err
	}
	// A worker blocked in a read notices the context's end by this.
	defer context.AfterFunc(ctx, func() { closeAll(workers) })()

	begin := Now()
	end := begin.Add(limits.Duration)
	budget := &atomic.Int64{}
	budget.Store(limits.Requests)
	var running sync.WaitGroup
	for _, w := range workers {
		running.Go(func() {
			if err := w.run(template, end, budget); err != nil {
				cancel(err)
			}
		})
	}
	running.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}

	result := &Result{}
	for _, w := range workers {
		result.Latencies.Add(&w.latencies)
		result.Elapsed = max(result.Elapsed, w.last.Sub(begin))
	}
	return result, nil
}

// worker is one connection and what it measured.
type worker struct {
	conn      net.Conn
	responses *Responses
	latencies Histogram
	last      time.Time // when the last answer had come
}

// open connects all workers. After an error, those connected so far are
// returned with it.
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
		_ = w.conn.Close() // may be closed already; nothing is lost by an error here
	}
}

// run sends requests until the end or until the common budget is spent.
func (w *worker) run(template *Template, end time.Time, budget *atomic.Int64) error {
	if err := w.conn.SetDeadline(end.Add(grace)); err != nil {
		return err
	}
	var buf []byte
	// One reading of the time per request: an answer's time is also the time
	// at which the next request begins.
	w.last = Now()
	for w.last.Before(end) && budget.Add(-1) >= 0 {
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
