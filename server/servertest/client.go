package servertest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"gcp-metadata-emulator/server/router/hostname"
)

// Client returns an HTTP client that finds the emulator under the host names of Google and of the
// metadata server, with TLS and without: https://www.googleapis.com/oauth2/v3/certs is the
// emulator's. It also reaches other servers on this machine, and refuses all other hosts.
//
// The client sends no credentials. Pass it to option.WithHTTPClient, oauth2.HTTPClient,
// metadata.NewClient or any library that accepts a client. Each call returns the same client, which
// the test may change.
func (e *Emulator) Client() *http.Client { return e.client }

// maxIdleConns suits all the concurrent work of a test, because every request goes to one
// emulator.
const maxIdleConns = 256

func (e *Emulator) newTransport() *http.Transport {
	return &http.Transport{
		Proxy:             nil, // ignore the environment
		DialContext:       e.dial,
		DialTLSContext:    e.dialTLS,
		ForceAttemptHTTP2: true,

		MaxIdleConnsPerHost: maxIdleConns,
	}
}

// GRPC returns a connection to one of Google's hosts, such as "iamcredentials.googleapis.com",
// that leads to the emulator. Pass it to option.WithGRPCConn. It sends no credentials unless the
// options add them. It is closed when the test ends.
func (e *Emulator) GRPC(host string, options ...grpc.DialOption) *grpc.ClientConn {
	e.t.Helper()
	config, err := e.tlsConfig(host)
	if err != nil {
		e.t.Fatalf("servertest: %v", err)
	}
	conn, err := grpc.NewClient("passthrough:///"+net.JoinHostPort(host, "443"), append([]grpc.DialOption{
		grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) { return e.dial(ctx, "tcp", address) }),
	}, options...)...)
	if err != nil {
		e.t.Fatalf("servertest: connect to %q: %v", host, err)
	}
	e.t.Cleanup(func() { _ = conn.Close() }) // the test has ended, so nobody needs the error
	return conn
}

// dial connects to the emulator if it emulates the host.
func (e *Emulator) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	switch {
	case hostname.IsLoopback(hostname.Of(host)):
		if strings.HasSuffix(hostname.Of(host), ".localhost") { // some resolvers do not know these names
			address = net.JoinHostPort("localhost", port)
		}
	case !hostname.IsOfGoogle(hostname.Canonical(host, e.server.World().State.UniverseDomain)):
		return nil, fmt.Errorf("the emulator's client only reaches hosts of Google and this machine, not %q", host)
	case port == "443":
		address = e.secure.String()
	default:
		address = strings.TrimPrefix(e.URL, "http://")
	}
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

func (e *Emulator) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := e.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	config, err := e.tlsConfig(hostname.Of(address))
	if err == nil {
		config.NextProtos = []string{"h2", "http/1.1"}
		secured := tls.Client(conn, config)
		if err = secured.HandshakeContext(ctx); err == nil {
			return secured, nil
		}
	}
	return nil, errors.Join(err, conn.Close())
}

// tlsConfig returns a configuration that trusts the emulator's authority.
func (e *Emulator) tlsConfig(host string) (*tls.Config, error) {
	authority, err := e.keys.Authority()
	if err != nil {
		return nil, fmt.Errorf("make a certificate authority: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(authority.Certificate()))
	return &tls.Config{ServerName: host, RootCAs: roots, MinVersion: tls.VersionTLS12}, nil
}
