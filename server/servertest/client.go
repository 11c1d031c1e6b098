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

// Client is a client that reaches the emulator under Google's own host names, with TLS and without, and
// under those of the metadata server: https://www.googleapis.com/oauth2/v3/certs is the
// emulator's. Other servers on this machine it reaches as any client, and nobody else.
//
// It carries no credentials. It can be given to whatever takes a client: option.WithHTTPClient,
// oauth2.HTTPClient, metadata.NewClient. It is the same one each time, and the test's to change.
func (e *Emulator) Client() *http.Client { return e.client }

// maxIdleConns is for what a test runs at once: all of it asks the one emulator.
const maxIdleConns = 256

func (e *Emulator) newTransport() *http.Transport {
	return &http.Transport{
		Proxy:             nil, // whatever the environment says
		DialContext:       e.dial,
		DialTLSContext:    e.dialTLS,
		ForceAttemptHTTP2: true,

		MaxIdleConnsPerHost: maxIdleConns,
	}
}

// GRPC is a connection to one of Google's hosts, such as "iamcredentials.googleapis.com", that ends at
// the emulator, for option.WithGRPCConn. It carries no credentials unless the options say so. It
// is closed when the test ends.
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
	e.t.Cleanup(func() { _ = conn.Close() }) // whatever there was has been said
	return conn
}

// dial connects to the emulator where a host is one of those that it plays.
func (e *Emulator) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	switch {
	case hostname.IsLoopback(hostname.Of(host)):
		if strings.HasSuffix(hostname.Of(host), ".localhost") { // which not every resolver knows
			address = net.JoinHostPort("localhost", port)
		}
	case !hostname.IsOfGoogle(host):
		return nil, fmt.Errorf("%q is neither a host of Google's nor this machine, and the emulator's client reaches no other", host)
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

// tlsConfig trusts the emulator's authority.
func (e *Emulator) tlsConfig(host string) (*tls.Config, error) {
	authority, err := e.keys.Authority()
	if err != nil {
		return nil, fmt.Errorf("make a certificate authority: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(authority.Certificate()))
	return &tls.Config{ServerName: host, RootCAs: roots, MinVersion: tls.VersionTLS12}, nil
}
