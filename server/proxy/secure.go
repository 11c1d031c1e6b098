package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/router/hostname"
)

// recordTypeHandshake is the first byte of every TLS connection (RFC 8446, section 5.1). No
// HTTP request starts with it.
const recordTypeHandshake = 0x16

// secure makes TLS servers with one shared configuration. Clients can thus resume sessions on other
// connections.
type secure struct {
	authority func() (*keys.Authority, error)
	logger    *slog.Logger
	clients   *x509.CertPool // for the certificates of clients, which need one; nil: they need none
	distrust  *distrust
	once      sync.Once
	config    *tls.Config // for clients that speak one of our protocols, or name none
	silent    *tls.Config // for clients that name other protocols only
}

func (s *secure) server(conn net.Conn) net.Conn { return tls.Server(conn, s.tls()) }

// tls returns the configuration. It asks for the authority when the first client connects.
func (s *secure) tls() *tls.Config {
	s.once.Do(func() {
		s.config = &tls.Config{
			MinVersion:     tls.VersionTLS12,
			NextProtos:     []string{"h2", "http/1.1"},
			GetCertificate: s.certificate,

			GetConfigForClient: s.forClient,
		}
		if s.clients != nil {
			s.config.ClientAuth, s.config.ClientCAs = tls.RequireAndVerifyClientCert, s.clients
		}
		s.silent = s.config.Clone()
		s.silent.NextProtos = nil
	})
	return s.config
}

// forClient returns the configuration for a client's hello, or nil for the usual one. If the client
// names only protocols unknown to the emulator, RFC 7301, section 3.2, asks for an alert. The
// emulator serves the client as if it had named none, because "curl --http1.0" offers http/1.0
// alone, and Google's documentation calls IAM Credentials this way.
func (s *secure) forClient(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	ours := func(protocol string) bool { return slices.Contains(s.config.NextProtos, protocol) }
	if len(hello.SupportedProtos) == 0 || slices.ContainsFunc(hello.SupportedProtos, ours) {
		return nil, nil //nolint:nilnil // crypto/tls asks for nil
	}
	return s.silent, nil
}

// certificate returns the certificate for the name in the client's hello. If the client names
// no host of the emulator, the certificate is for the host of its CONNECT, or else for this
// machine.
func (s *secure) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	authority, err := s.authority()
	if err != nil {
		s.logger.ErrorContext(hello.Context(), "TLS fails: there is no certificate authority", "error", err)
		return nil, err
	}
	s.distrust.greet(hello)
	hosts := []string{hostname.Of(hello.ServerName)}
	if through, ok := hello.Conn.(*tunnel); ok {
		hosts = append(hosts, through.host)
	}
	hosts = append(hosts, hostname.Of(hello.Conn.LocalAddr().String()))
	for _, host := range hosts {
		leaf, err := authority.Leaf(host)
		if !errors.Is(err, keys.ErrNotOurs) {
			return leaf, err
		}
	}
	return authority.Leaf("localhost")
}

// TLS returns a listener that secures connections with certificates of the authority. It speaks
// HTTP/2 and HTTP/1.
func (p *Proxy) TLS(listener net.Listener) net.Listener {
	return tls.NewListener(listener, p.secure.tls())
}

// MutualTLS is TLS for clients that authenticate themselves with a certificate of a pool.
func (p *Proxy) MutualTLS(listener net.Listener, clients *x509.CertPool) net.Listener {
	own := &secure{authority: p.secure.authority, logger: p.secure.logger, distrust: p.secure.distrust, clients: clients}
	return tls.NewListener(listener, own.tls())
}
