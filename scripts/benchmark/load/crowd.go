package load

import (
	"context"
	"fmt"
)

// Crowd is many connections, on each of which one request is sent before any answer is
// read. It needs neither a goroutine nor a buffer for each, which would be measured with
// the server.
type Crowd struct {
	conns []*worker
	stop  func() bool
}

// Gather opens connections. They are closed when the context ends.
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

// Receive reads an answer from each connection. One other than 200 is a *StatusError.
func (c *Crowd) Receive() error {
	end := Now().Add(grace)
	responses := NewResponses(nil)
	for _, w := range c.conns {
		if err := w.conn.SetReadDeadline(end); err != nil {
			return err
		}
		responses.source = w.conn // nothing is left of the answer before
		if err := responses.Next(); err != nil {
			return err
		}
	}
	return nil
}
