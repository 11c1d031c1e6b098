package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/wire"
)

// passing returns a proxy that forwards everything through dial.
func passing(t *testing.T, dial func(context.Context, string, string) (net.Conn, error)) *Proxy {
	t.Helper()
	var all hostname.Target
	if err := all.UnmarshalText([]byte("*")); err != nil {
		t.Fatal(err)
	}
	p := New(Config{
		Answers: func(string, string, net.Addr) bool { return false },
		Allowed: []hostname.Target{all},
		Logger:  slog.New(slog.DiscardHandler),
		Refused: func(*http.Request, wire.Response) {},
	})
	p.dial = dial
	return p
}

// requests returns the two kinds of request to another host.
func requests() map[string]*http.Request {
	return map[string]*http.Request{
		"absolute form": httptest.NewRequest(http.MethodGet, "http://other.example.com:80/", nil),
		"CONNECT":       httptest.NewRequest(http.MethodConnect, "other.example.com:80", nil),
	}
}

func ask(p *Proxy, request *http.Request) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	p.Handler(NewTunnels(nil)).ServeHTTP(recorder, request)
	return recorder
}

// The proxy does not wait for an unresponsive host longer than for a client.
func TestSilentHost(t *testing.T) {
	t.Parallel()
	for name, request := range requests() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				answer := ask(passing(t, func(ctx context.Context, _, _ string) (net.Conn, error) {
					<-ctx.Done()
					return nil, &net.OpError{Op: "dial", Net: "tcp", Err: ctx.Err()}
				}), request)
				if took := time.Since(begun); took != patience || answer.Code != http.StatusGatewayTimeout ||
					answer.Body.String() != "The emulator cannot reach \"other.example.com:80\": it does not answer.\n" {
					t.Errorf("after %v: %d %q", took, answer.Code, answer.Body)
				}
			})
		})
	}
}

// The proxy gives up on a host that accepts the connection and never answers.
func TestHostWithoutAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		answer := ask(passing(t, func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			go func() {
				for buffer := make([]byte, 512); ; {
					if _, err := there.Read(buffer); err != nil {
						return
					}
				}
			}()
			return here, nil
		}), requests()["absolute form"])
		if took := time.Since(begun); took != answerPatience || answer.Code != http.StatusGatewayTimeout {
			t.Errorf("after %v: %d %q", took, answer.Code, answer.Body)
		}
	})
}

// Clients get a readable reason.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		says string
	}{
		{&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "x", IsNotFound: true}}, "there is no such host"},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, "it refuses the connection"},
		{&net.OpError{Op: "dial", Err: syscall.ENETUNREACH}, "this machine has no route to it"},
		{&net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH}, "this machine has no route to it"},
		{fmt.Errorf("x: %w", &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}), "this machine does not trust its certificate"},
		{errors.New("internals"), "the connection failed"},
	} {
		for name, request := range requests() {
			answer := ask(passing(t, func(context.Context, string, string) (net.Conn, error) { return nil, test.err }), request)
			if want := "The emulator cannot reach \"other.example.com:80\": " + test.says + ".\n"; answer.Code != http.StatusBadGateway || answer.Body.String() != want {
				t.Errorf("%s, %v: %d %q", name, test.err, answer.Code, answer.Body)
			}
		}
	}
}

// patient is a response writer with a deadline for the request's body.
type patient struct {
	*httptest.ResponseRecorder

	deadline time.Time
}

func (p *patient) SetReadDeadline(deadline time.Time) error {
	p.deadline = deadline
	return nil
}

// A forwarded upload may take longer than the emulator itself would wait.
func TestLongUploadsArePassedOn(t *testing.T) {
	t.Parallel()
	writer := &patient{httptest.NewRecorder(), time.Now().Add(time.Minute)}
	unreachable := passing(t, func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED })
	unreachable.Handler(NewTunnels(nil)).ServeHTTP(writer, requests()["absolute form"])
	if !writer.deadline.IsZero() {
		t.Errorf("an upload ends at %v", writer.deadline)
	}
}
