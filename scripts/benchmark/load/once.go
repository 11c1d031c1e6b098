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
	// A server that is starting is tried this often: rarely enough to leave it
	// the processor, often enough not to show in what is measured.
	retry = 200 * time.Microsecond
	// patience is how long a server may take to accept a connection, and then
	// to answer.
	patience = 10 * time.Second
	// largest is the longest body that Once keeps.
	largest = 16 << 20
)

// Answer is one answer in full.
type Answer struct {
	Header http.Header
	Body   []byte
}

// Once sends one request and returns its answer. An answer other than 200 is a
// *StatusError.
func Once(ctx context.Context, addr string, template *Template) (*Answer, error) {
	answer := &Answer{}
	err := exchange(ctx, addr, template, func(source io.Reader) error {
		response, err := http.ReadResponse(bufio.NewReader(source), nil)
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }() // closes nothing but the reader
		answer.Header = response.Header
		answer.Body, err = io.ReadAll(io.LimitReader(response.Body, largest))
		if err == nil && response.StatusCode != http.StatusOK {
			return &StatusError{Status: response.StatusCode, Body: string(answer.Body[:min(len(answer.Body), quoted)])}
		}
		return err
	})
	return answer, err
}

// Await connects to a server that may still be starting, as soon as it accepts
// a connection, sends one request, and returns when the first byte of the
// answer came.
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

// exchange connects, sends one request and lets read read the answer.
func exchange(ctx context.Context, addr string, template *Template, read func(io.Reader) error) error {
	conn, err := connect(ctx, addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // the answer has been read
	// The context's end is to interrupt the reading, too.
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

// firstByte remembers when the first byte was read.
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
