package proxy

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/router/hostname"
)

// recordTypeHandshake is the first byte of every TLS connection (RFC 8446, section 5.1), and
// of no HTTP request.
const recordTypeHandshake = 0x16

// secure makes TLS servers. They have one configuration, so that a client can resume on one
// connection what it began on another.
type secure struct {
	authority func() (*keys.Authority, error)
	logger    *slog.Logger
	once      sync.Once
	config    *tls.Config
}

func (s *secure) server(conn net.Conn) net.Conn { return tls.Server(conn, s.tls()) }

// tls is the configuration. The authority is asked for by the first client.
func (s *secure) tls() *tls.Config {
	s.once.Do(func() {
		s.config = &tls.Config{
			MinVersion:     tls.VersionTLS12,
			NextProtos:     []string{"h2", "http/1.1"},
			GetCertificate: s.certificate,
		}
	})
	return s.config
}

// certificate is that of the name that a client asks for. A client that asks for none, or for
// one that is not ours, gets that of the host to which it wanted to connect, or of this machine.
func (s *secure) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	authority, err := s.authority()
	if err != nil {
		s.logger.ErrorContext(hello.Context(), "TLS fails: there is no certificate authority", "error", err)
		return nil, err
	}
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

// TLS is a listener whose connections are secured with certificates of the authority, for
// HTTP/2 or HTTP/1.1.
func (p *Proxy) TLS(listener net.Listener) net.Listener {
	return tls.NewListener(listener, p.secure.tls())
}
