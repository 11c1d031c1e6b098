package wire

import "context"

type proxiedKey struct{}

// WithProxied marks the requests of a context as ones that came by way of the forward proxy:
// whoever sent them meant another server.
func WithProxied(ctx context.Context) context.Context {
	return context.WithValue(ctx, proxiedKey{}, true)
}

// IsProxied tells whether a request of the context came by way of the forward proxy.
func IsProxied(ctx context.Context) bool { return ctx.Value(proxiedKey{}) != nil }
