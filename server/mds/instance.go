package mds

import (
	"context"
	"net/http"
	"strings"

	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/world"
)

type instanceKey struct{}

// WithInstance returns a context for requests to the named instance. Callers use it for
// connections to the instance's own address and for requests with its name as the Host. The
// first name counts.
func WithInstance(ctx context.Context, name string) context.Context {
	if _, known := ctx.Value(instanceKey{}).(string); known {
		return ctx // set by the address of the connection
	}
	return context.WithValue(ctx, instanceKey{}, name)
}

// IsOfInstance reports whether a request came in at the address of an instance, or under its name.
func IsOfInstance(r *http.Request) bool {
	_, known := r.Context().Value(instanceKey{}).(string)
	return known
}

// instanceOf returns the target instance of a request. The address of the connection decides,
// then the first label of the Host; otherwise it is the default instance. ok is false if the
// address belongs to an instance that has been removed.
func instanceOf(r *http.Request, w *world.World) (instance *world.Instance, ok bool) {
	if name, ok := r.Context().Value(instanceKey{}).(string); ok {
		return w.Instance(name)
	}
	if len(w.Instances) > 1 { // with one instance the Host does not matter
		if instance, ok := named(hostname.Of(r.Host), w); ok {
			return instance, true
		}
	}
	return w.DefaultInstance(), true
}

// named returns the instance with the Host's name. Google's own host names name no instance.
func named(host string, w *world.World) (*world.Instance, bool) {
	if hostname.IsMetadata(host) || hostname.IsGoogle(host) {
		return nil, false
	}
	label, _, _ := strings.Cut(host, ".")
	return w.Instance(label)
}
