//go:build cluster

package etcd

import (
	"context"
	"errors"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"gcp-metadata-emulator/server/records"
)

// session is a connection to the servers, as a user with a password.
type session struct {
	client   *clientv3.Client
	password string
}

// prefix returns the beginning of all records' names.
func (c Config) prefix() string { return strings.Trim(c.Prefix, "/") + "/" }

// connect connects to the servers with the user's present password. The error is an *UnreachableError, or
// that of Password.
func (c Config) connect(ctx context.Context) (*session, error) {
	const alive = 3 * time.Second
	scheme := "http://"
	if c.TLS != nil {
		scheme = "https://"
	}
	endpoints := make([]string, len(c.Endpoints))
	for i, address := range c.Endpoints {
		endpoints[i] = scheme + address
	}
	made := &session{}
	if c.Password != nil {
		var err error
		if made.password, err = c.Password(ctx); err != nil {
			return nil, err
		}
	}
	var err error
	made.client, err = clientv3.New(clientv3.Config{
		Endpoints: endpoints, TLS: c.TLS, Username: c.User, Password: made.password, Logger: zap.NewNop(),
		DialTimeout: c.Timeout, DialKeepAliveTime: alive, DialKeepAliveTimeout: alive,
		DialOptions: []grpc.DialOption{grpc.WithChainUnaryInterceptor(stale), grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: often(), MinConnectTimeout: c.Timeout,
		})},
	})
	if err != nil {
		return nil, unreachable(c.find(ctx, err))
	}
	return made, nil
}

// often makes the client try to connect every second or so, for as long as the servers are away. If servers
// start again, they give all leases all their time, and the client is back before the leases end.
func often() backoff.Config {
	config := backoff.DefaultConfig
	config.BaseDelay, config.MaxDelay = time.Second/10, time.Second
	return config
}

var errStale = status.Error(codes.Unauthenticated, "etcd has forgotten the token of this connection")

// stale replaces the error of etcd up to 3.4 that the request for a new token has an old token. For this
// error, etcd's client would make the same request again, for ever.
func stale( //nolint:revive // it has the arguments of a grpc.UnaryClientInterceptor
	ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption,
) error {
	err := invoke(ctx, method, request, reply, conn, options...)
	if strings.HasSuffix(method, "/Authenticate") && errors.Is(rpctypes.Error(err), rpctypes.ErrInvalidAuthToken) {
		return errStale
	}
	return err
}

// report keeps why the servers refuse this program, and logs it once.
func (s *Store) report(ctx context.Context, err error) {
	problem, _ := errors.AsType[*records.ProblemError](s.config.explain(err))
	before := s.problem.Swap(problem)
	if problem != nil && (before == nil || *before != *problem) {
		s.logger.WarnContext(ctx, "the store refuses this program", "error", problem.Sentence, "hint", problem.Advice)
	}
}

// Problem returns why the servers refuse this program, or nil.
func (s *Store) Problem() error {
	if problem := s.problem.Load(); problem != nil {
		return unreachable(problem)
	}
	return nil
}

// renew connects again after an error, if this helps: etcd has forgotten the token of the connection, or
// the user has another password by now. The records with the lifetime of this process stay.
func (s *Store) renew(ctx context.Context, after error) {
	isStale := errors.Is(after, errStale)
	if !isStale && !errors.Is(after, rpctypes.ErrAuthFailed) {
		return
	}
	old := s.session.Load()
	password, err := s.config.Password(ctx)
	if err != nil || !isStale && password == old.password {
		return // the next ping tries again
	}
	next, err := s.config.connect(ctx)
	if err != nil {
		return
	}
	s.session.Store(next)
	s.leases.move(next.client) //nolint:contextcheck // the lease outlives the ping
	_ = old.client.Close()     // the watch goes on with the next client
	s.logger.InfoContext(ctx, "signed in to the store again", "user", s.config.User)
}
