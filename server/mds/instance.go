package mds

import (
	"context"
	"net/http"
	"strings"

	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/world"
)

type instanceKey struct{}

// WithInstance makes the requests of a context those of one instance, by its name: of
// connections that came in at the instance's own address, or those whose Host it is. The
// first name counts.
func WithInstance(ctx context.Context, name string) context.Context {
	if _, known := ctx.Value(instanceKey{}).(string); known {
		return ctx // of the connection's own address
	}
	return context.WithValue(ctx, instanceKey{}, name)
}

// instanceOf is the instance whose metadata server a request is meant for: that of the
// address at which it arrived, or the one whose name is the first label of its Host, or the
// default one. It is false where the address is that of an instance that is no more.
func instanceOf(r *http.Request, w *world.World) (*world.Instance, bool) {
	if name, ok := r.Context().Value(instanceKey{}).(string); ok {
		return w.Instance(name)
	}
	if len(w.Instances) > 1 { // otherwise it makes no difference
		if instance, ok := named(hostname.Of(r.Host), w); ok {
			return instance, true
		}
	}
	return w.DefaultInstance(), true
}

// named is the instance that a Host names. Google's own names are nobody's.
func named(host string, w *world.World) (*world.Instance, bool) {
	if hostname.IsMetadata(host) || hostname.IsGoogle(host) {
		return nil, false
	}
	label, _, _ := strings.Cut(host, ".")
	return w.Instance(label)
}
