package script

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// ErrLimit is the error of a request for which the limit leaves no room.
var ErrLimit = errors.New("the limit of requests is reached")

// UnreachableError is the error of an unsent request: the server cannot be reached, or its certificate cannot
// be verified.
type UnreachableError struct{ Err error }

func (e *UnreachableError) Error() string { return e.Err.Error() }
func (e *UnreachableError) Unwrap() error { return e.Err }

// GoneError is the error of a request that was not sent, because the server has failed to answer too many requests in
// a row.
type GoneError struct {
	failed int
	last   string
}

func (e *GoneError) Error() string {
	return fmt.Sprintf("%d requests in a row had no answer of the server; the last of them: %s", e.failed, e.last)
}

// longestSilence is how long a server may take to answer, beyond the time that a request asks it to wait.
const longestSilence = 10 * time.Second

// Client sends requests in the form of the scripts to a server, one after the other, each on its
// own connection.
type Client struct {
	Address  string        // HOST:PORT
	Host     string        // the Host field of requests without one
	Interval time.Duration // between two requests
	Limit    int           // of requests; 0: none
	Asked    int           // requests so far
	Patience int           // requests in a row that may fail before Ask sends no more; 0: any number
	Now      func() time.Time
	Roots    *x509.CertPool // of servers with TLS; nil: the roots of the system

	// Heard, if it is not nil, is called with each answer before Ask returns it.
	Heard func(request string, answer Answer)

	last   time.Time
	secure bool
	gone   GoneError // the latest failures in a row
}

// NewClient returns a client of the server at a URL.
func NewClient(at *url.URL, now func() time.Time) *Client {
	client := &Client{Now: now}
	client.Lead(at)
	return client
}

// Lead leads further requests to the server at a URL. Their count includes the requests to earlier servers.
func (c *Client) Lead(at *url.URL) {
	c.secure = at.Scheme == "https"
	port := "80"
	if c.secure {
		port = "443"
	}
	c.Address, c.Host = net.JoinHostPort(at.Hostname(), cmp.Or(at.Port(), port)), at.Host
}

// Ask sends a request and reads the answer. The error is ErrLimit if the limit is reached, and a [GoneError] if the
// server has failed too often.
func (c *Client) Ask(ctx context.Context, request string) (Answer, error) {
	return c.AskFor(ctx, request, 0)
}

// AskFor is Ask for a request that asks the server to wait for a while.
func (c *Client) AskFor(ctx context.Context, request string, while time.Duration) (Answer, error) {
	if c.Limit > 0 && c.Asked >= c.Limit {
		return Answer{}, ErrLimit
	}
	if err := c.Gone(); err != nil {
		return Answer{}, err
	}
	c.Asked++
	if err := c.pace(ctx); err != nil {
		return Answer{}, err
	}
	answer, err := c.send(ctx, request, while)
	c.judge(answer, err)
	if err == nil && c.Heard != nil {
		c.Heard(request, answer)
	}
	return answer, err
}

// Gone returns a [GoneError] if the server has failed too often in a row.
func (c *Client) Gone() error {
	if c.Patience == 0 || c.gone.failed < c.Patience {
		return nil
	}
	gone := c.gone
	return &gone
}

// judge counts failures in a row. Other errors are answers of the server, which may have an
// endpoint that always fails; a gateway uses these two if the server behind it does not answer (RFC 9110,
// sections 15.6.3 and 15.6.5).
func (c *Client) judge(answer Answer, err error) {
	switch {
	case err != nil:
		c.gone = GoneError{c.gone.failed + 1, err.Error()}
	case answer.Status == http.StatusBadGateway, answer.Status == http.StatusGatewayTimeout:
		c.gone = GoneError{c.gone.failed + 1, fmt.Sprintf("status %d", answer.Status)}
	default:
		c.gone = GoneError{}
	}
}

// send sends a request and reads the answer.
func (c *Client) send(ctx context.Context, request string, while time.Duration) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, while+longestSilence)
	defer cancel()
	conn, err := c.dial(ctx)
	if err != nil {
		return Answer{}, &UnreachableError{err}
	}
	defer conn.Close() //nolint:errcheck // the answer was read
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := io.WriteString(conn, Raw(request, c.Host)); err != nil {
		return Answer{}, err
	}
	method, _, _ := strings.Cut(request, " ")
	return ReadAnswer(conn, method)
}

func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	if c.secure {
		return (&tls.Dialer{Config: &tls.Config{RootCAs: c.Roots, MinVersion: tls.VersionTLS12}}).DialContext(ctx, "tcp", c.Address)
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", c.Address)
}

// pace waits until the next request may be sent.
func (c *Client) pace(ctx context.Context) error {
	if c.Interval == 0 {
		return ctx.Err()
	}
	wait := time.NewTimer(c.Interval - c.Now().Sub(c.last))
	defer wait.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case c.last = <-wait.C:
		return nil
	}
}

// Get returns the request of a client of the metadata server for a path.
func Get(path string) string { return "GET " + path + "\nMetadata-Flavor: Google\n\n" }

// Line returns the request line.
func Line(request string) string {
	first, _, _ := strings.Cut(request, "\n")
	return first
}
