package wire

import "context"

type proxiedKey struct{}

// WithProxied marks the requests of a context as requests through the forward proxy. Their clients
// address another server.
func WithProxied(ctx context.Context) context.Context {
	return context.WithValue(ctx, proxiedKey{}, true)
}

// IsProxied reports whether the context's requests came through the forward proxy.
func IsProxied(ctx context.Context) bool { return ctx.Value(proxiedKey{}) != nil }
