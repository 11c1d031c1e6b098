//go:build cluster

package etcd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/status"

	"gcp-metadata-emulator/server/records"
)

// explain returns the meaning of a server's error for the person who runs this program. If it has no
// explanation, it returns the error.
func (c Config) explain(err error) error {
	switch {
	case errors.Is(err, rpctypes.ErrAuthFailed):
		return &records.ProblemError{
			Sentence: fmt.Sprintf("etcd does not know the user %q, or not with this password", c.User),
			Advice:   "compare --store-user and --store-password-file with the users of etcd: etcdctl user list",
		}
	case errors.Is(err, rpctypes.ErrUserEmpty), errors.Is(err, rpctypes.ErrPermissionDenied) && c.User == "":
		return &records.ProblemError{
			Sentence: fmt.Sprintf("etcd only lets users that it knows read and write below %q", c.prefix()),
			Advice:   "name one of them with --store-user and --store-password-file; a certificate names one too, if its common name is a user that may",
		}
	case errors.Is(err, rpctypes.ErrPermissionDenied):
		return &records.ProblemError{
			Sentence: fmt.Sprintf("etcd does not let the user %q read and write everything below %q", c.User, c.prefix()),
			Advice:   "grant it to a role of the user: etcdctl role grant-permission ROLE readwrite --prefix " + c.prefix(),
		}
	case errors.Is(err, errStale):
		return &records.ProblemError{Sentence: status.Convert(errStale).Message(), Advice: "send the request again; this program signs in again within a second"}
	case errors.Is(err, rpctypes.ErrNoSpace):
		return &records.ProblemError{
			Sentence: "etcd's database is as large as its quota allows",
			Advice:   "compact and defragment it, then run: etcdctl alarm disarm; --auto-compaction-retention keeps etcd from growing, and --quota-backend-bytes raises the quota",
		}
	case errors.Is(err, rpctypes.ErrRequestTooLarge), errors.Is(err, rpctypes.ErrTooManyOps):
		return &records.ProblemError{
			Sentence: fmt.Sprintf("etcd does not take changes of %d operations and %d bytes", records.MaxOperations, records.MaxBytes),
			Advice:   "start etcd with --max-txn-ops and --max-request-bytes that are at least as large as their defaults",
		}
	}
	return err
}

// find returns why the servers cannot be used, after an error. If the error does not say so, it connects
// to each server by itself, because etcd's client keeps the reasons of failed connections to itself.
func (c Config) find(ctx context.Context, err error) error {
	if explained := c.explain(err); explained != err { //nolint:errorlint // is it the same error?
		return explained
	}
	for _, address := range c.Endpoints {
		if problem := c.try(ctx, address); problem != nil {
			return problem
		}
	}
	return err
}

// try connects to a server, and returns the problem with the connection, or nil.
func (c Config) try(ctx context.Context, address string) error {
	const patience = 2 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	plain, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return &records.ProblemError{
			Sentence: fmt.Sprintf("cannot connect to %q: %v", address, err),
			Advice:   "see that etcd runs at this address, and that its --listen-client-urls has the address",
		}
	}
	defer func() { _ = plain.Close() }()
	until, _ := ctx.Deadline()
	if err := plain.SetDeadline(until); err != nil {
		return nil
	}
	if c.TLS == nil {
		return greet(plain, address)
	}
	return c.shake(ctx, plain, address)
}

// greet begins HTTP/2 without TLS.
func greet(plain net.Conn, address string) error {
	const preface, settings = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", 4
	header := make([]byte, 9) // of the first frame
	if _, err := io.WriteString(plain, preface); err != nil {
		return nil //nolint:nilerr // the answer says more
	}
	if _, err := io.ReadFull(plain, header); isTimeout(err) || err == nil && header[3] == settings {
		return nil
	}
	return &records.ProblemError{
		Sentence: fmt.Sprintf("%q does not answer as etcd does without TLS", address),
		Advice:   "if etcd uses TLS there, name the file with the certificate of its authority with --store-ca, and --store-cert and --store-key if it wants a certificate of its clients",
	}
}

// shake begins TLS, and waits for the first byte. If a server refuses the certificate of a client, it says
// so only after the handshake.
func (c Config) shake(ctx context.Context, plain net.Conn, address string) error {
	config := c.TLS.Clone()
	config.ServerName, _, _ = net.SplitHostPort(address)
	config.NextProtos = []string{"h2"}
	secure := tls.Client(plain, config)
	err := secure.HandshakeContext(ctx)
	if err == nil {
		_, err = secure.Read(make([]byte, 1))
	}
	_, isUntrusted := errors.AsType[*tls.CertificateVerificationError](err)
	refused, _ := errors.AsType[*net.OpError](err)
	switch {
	case err == nil, isTimeout(err):
		return nil
	case isUntrusted:
		return &records.ProblemError{Sentence: fmt.Sprintf("cannot trust the server %q: %v", address, err), Advice: untrusted(err)}
	case refused != nil && refused.Op == "remote error": // an alert of TLS
		return &records.ProblemError{
			Sentence: fmt.Sprintf("the server %q has ended the connection: %v", address, err),
			Advice:   "give a certificate and its key, from the authority of etcd's --trusted-ca-file, with --store-cert and --store-key",
		}
	}
	return &records.ProblemError{
		Sentence: fmt.Sprintf("%q does not use TLS as etcd does: %v", address, err),
		Advice:   "leave out --store-ca, --store-cert and --store-key, or start etcd with --cert-file and --key-file",
	}
}

// untrusted returns advice about an untrusted certificate of a server.
func untrusted(err error) string {
	if _, isOther := errors.AsType[x509.HostnameError](err); isOther {
		return "use a name or an address in --store that the certificate of the server has"
	}
	return "name the file with the certificate of the authority that has issued the server's certificate with --store-ca"
}

func isTimeout(err error) bool {
	late, ok := errors.AsType[net.Error](err)
	return ok && late.Timeout()
}
