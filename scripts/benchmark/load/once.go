package load

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

const (
	// retry is the interval of attempts to connect to a starting server: long enough to leave
	// it the processor, short enough to keep the measurement exact.
	retry = 200 * time.Microsecond
	// patience is the time in which a server must accept a connection, and then answer. A starting emulator
	// makes keys before it answers.
	patience = grace
	// largest is the maximum size of a body that Once keeps, in bytes.
	largest = 16 << 20
)

// Answer is a complete answer.
type Answer struct {
	Header http.Header
	Body   []byte
}

// Once sends one request and returns the answer. The error is a *StatusError for an answer
// other than 200.
func Once(ctx context.Context, addr string, template *Template) (*Answer, error) {
	answer := &Answer{}
	err := exchange(ctx, addr, template, func(source io.Reader) error {
		response, err := http.ReadResponse(bufio.NewReader(source), nil)
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }() // closes only the reader
		answer.Header = response.Header
		answer.Body, err = io.ReadAll(io.LimitReader(response.Body, largest))
		if err == nil && response.StatusCode != http.StatusOK {
			return &StatusError{Status: response.StatusCode, Body: string(answer.Body[:min(len(answer.Body), quoted)])}
		}
		return err
	})
	return answer, err
}

// Await connects to a server that may still be starting, sends one request, and returns the
// time of the answer's first byte.
func Await(ctx context.Context, addr string, template *Template) (time.Time, error) {
	var at time.Time
	err := exchange(ctx, addr, template, func(source io.Reader) error {
		first := &firstByte{source: source}
		err := NewResponses(first).Next()
		at = first.at
		return err
	})
	return at, err
}

// exchange connects, sends one request and calls read with the connection.
func exchange(ctx context.Context, addr string, template *Template, read func(io.Reader) error) error {
	conn, err := connect(ctx, addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // the answer has been read
	// Closing the connection interrupts read when ctx ends.
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if _, err = conn.Write(template.Next(nil)); err == nil {
		err = read(conn)
	}
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// connect tries until the server accepts.
func connect(ctx context.Context, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience,
		fmt.Errorf("nothing accepted a connection at %q within %v", addr, patience))
	defer cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	dialer := &net.Dialer{}
	for {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-timer.C:
		}
		conn, err := dialer.DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn, conn.SetDeadline(Now().Add(patience))
		}
		timer.Reset(retry)
	}
}

// firstByte records the time of the first byte.
type firstByte struct {
	source io.Reader
	at     time.Time
}

func (f *firstByte) Read(p []byte) (int, error) {
	n, err := f.source.Read(p)
	if n > 0 && f.at.IsZero() {
		f.at = Now()
	}
	return n, err
}
