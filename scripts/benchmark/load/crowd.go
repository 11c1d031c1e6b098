package load

import (
	"context"
	"fmt"
)

// Crowd holds many connections. It sends one request on each before it reads any answer. It
// needs no goroutine or buffer per connection, because their cost would distort the
// measurement.
type Crowd struct {
	conns []*worker
	stop  func() bool
}

// Gather opens connections. They are closed when ctx ends.
func Gather(ctx context.Context, addr string, connections int) (*Crowd, error) {
	workers, err := open(ctx, addr, connections, direct)
	if err != nil {
		closeAll(workers)
		return nil, fmt.Errorf("after %d connections: %w", len(workers), err)
	}
	return &Crowd{conns: workers, stop: context.AfterFunc(ctx, func() { closeAll(workers) })}, nil
}

// Close closes the connections.
func (c *Crowd) Close() {
	c.stop()
	closeAll(c.conns)
}

// Send sends a request on each connection.
func (c *Crowd) Send(template *Template) error {
	var buf []byte
	for _, w := range c.conns {
		buf = template.Next(buf)
		if _, err := w.conn.Write(buf); err != nil {
			return err
		}
	}
	return nil
}

// Receive reads an answer from each connection. The error is a *StatusError for an answer other
// than 200.
func (c *Crowd) Receive() error {
	end := Now().Add(grace)
	responses := NewResponses(nil)
	for _, w := range c.conns {
		if err := w.conn.SetReadDeadline(end); err != nil {
			return err
		}
		responses.source = w.conn // the previous answer was consumed completely
		if err := responses.Next(); err != nil {
			return err
		}
	}
	return nil
}
