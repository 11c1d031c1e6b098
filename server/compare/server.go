package compare

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"time"

	"gcp-metadata-emulator/server/script"
)

// errLimit is the error of a request for which the limit leaves no room.
var errLimit = errors.New("the limit of requests is reached")

// patience is how long a server may take to answer. No request waits for a change for that long.
const patience = 10 * time.Second

// server is one of the two servers.
type server struct {
	address, host string
	interval      time.Duration // between two requests
	limit         int           // of requests; 0: none
	asked         int
	last          time.Time
	now           func() time.Time
}

// newServer returns the server at a URL, which is asked under the Host of the real server.
func newServer(at *url.URL, options Options, limit int) *server {
	address := at.Host
	if at.Port() == "" {
		address = net.JoinHostPort(at.Hostname(), "80")
	}
	return &server{address: address, host: options.Real.Host, interval: options.Interval, limit: limit, now: options.Now}
}

// ask sends a request, written as in the wire scripts, on a connection of its own.
func (s *server) ask(ctx context.Context, request string) (script.Answer, error) {
	if s.limit > 0 && s.asked >= s.limit {
		return script.Answer{}, errLimit
	}
	s.asked++
	if err := s.pace(ctx); err != nil {
		return script.Answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.address)
	if err != nil {
		return script.Answer{}, err
	}
	defer conn.Close() //nolint:errcheck // the answer was read
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := io.WriteString(conn, script.Raw(request, s.host)); err != nil {
		return script.Answer{}, err
	}
	method, _, _ := strings.Cut(request, " ")
	return script.ReadAnswer(conn, method)
}

// pace waits until the next request may be sent.
func (s *server) pace(ctx context.Context) error {
	if s.interval == 0 {
		return ctx.Err()
	}
	wait := time.NewTimer(s.interval - s.now().Sub(s.last))
	defer wait.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case s.last = <-wait.C:
		return nil
	}
}

// get returns a request of a client of the metadata server.
func get(path string) string { return "GET " + path + "\nMetadata-Flavor: Google\n\n" }

// line returns the request line.
func line(request string) string {
	first, _, _ := strings.Cut(request, "\n")
	return first
}
