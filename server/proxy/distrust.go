package proxy

import (
	"cmp"
	"context"
	"crypto/tls"
	"log" //nolint:depguard // net/http asks for it
	"log/slog"
	"strings"

	"gcp-metadata-emulator/server/lru"
	"gcp-metadata-emulator/server/router/hostname"
)

// distrust warns of clients that do not trust the authority. Such a client sends an alert.
// crypto/tls turns it into an error, and net/http into a line of its log; there is no other sign.
type distrust struct {
	greeted *lru.Cache[string, greeting] // by the address of the client
	warned  *lru.Cache[string, struct{}]
	logger  *slog.Logger
}

// greeting describes a client whose handshake has begun.
type greeting struct{ host, program string }

// crowd is the number of clients that are remembered.
const crowd = 256

func newDistrust(logger *slog.Logger) *distrust {
	return &distrust{lru.New[string, greeting](crowd), lru.New[string, struct{}](crowd), logger}
}

// greet remembers the client of a hello.
func (d *distrust) greet(hello *tls.ClientHelloInfo) {
	who := greeting{host: hostname.Of(hello.ServerName)}
	if through, ok := hello.Conn.(*tunnel); ok {
		who = greeting{cmp.Or(who.host, through.host), through.program}
	}
	d.greeted.Add(hello.Conn.RemoteAddr().String(), who)
}

// complain reads a line in the log of net/http. If the line is about a client that refused the
// certificate, complain warns, once for each client.
func (d *distrust) complain(ctx context.Context, line string) {
	failure, isHandshake := strings.CutPrefix(line, "http: TLS handshake error from ")
	address, problem, _ := strings.Cut(strings.TrimSpace(failure), ": ")
	if !isHandshake || !refusesCertificate(problem) {
		return
	}
	who, _ := d.greeted.Get(address)
	if told, _ := d.warned.ContainsOrAdd(cmp.Or(who.program, who.host, "unknown"), struct{}{}); told {
		return
	}
	d.logger.WarnContext(ctx, "a program does not trust the emulator's certificates",
		"host", who.host, "program", who.program, "client", address, "error", problem,
		"hint", "gcp-metadata-emulator doctor says which variable names the trusted roots of each client; "+
			"a program whose roots are compiled in, or that pins certificates, must be built or configured otherwise")
}

// refusesCertificate reports whether an error of crypto/tls comes from an alert about the server's
// certificate (RFC 8446, section 6.2). OpenSSL sends the alert without encryption, although encryption is
// due at this point, so it cannot be read; no other client does this.
func refusesCertificate(problem string) bool {
	switch problem {
	case "remote error: tls: bad certificate", "remote error: tls: unsupported certificate",
		"remote error: tls: unknown certificate", "remote error: tls: unknown certificate authority",
		"local error: tls: bad record MAC":
		return true
	default:
		return false
	}
}

// ErrorLog returns the log of an http.Server with the proxy's connections. It writes at the level
// debug, and warns of programs that do not trust the authority.
func (p *Proxy) ErrorLog() *log.Logger { //nolint:forbidigo // as above
	return slog.NewLogLogger(complaints{p.Logger.Handler(), p.secure.distrust}, slog.LevelDebug)
}

// complaints is a handler of log lines that also complains of distrust.
type complaints struct {
	slog.Handler

	distrust *distrust
}

// Enabled reports true, because a warning can come from a line that is not logged.
func (c complaints) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (c complaints) Handle(ctx context.Context, line slog.Record) error {
	c.distrust.complain(ctx, line.Message)
	if !c.Handler.Enabled(ctx, line.Level) {
		return nil
	}
	return c.Handler.Handle(ctx, line)
}
