package mds

import (
	"context"
	"net/http"
	"strings"

	"gcp-metadata-emulator/server/world"
)

type instanceKey struct{}

// WithInstance makes the requests of a context those of one instance, by its name: of
// connections that came in at the instance's own address.
func WithInstance(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, instanceKey{}, name)
}

// instanceOf is the instance whose metadata server a request is meant for: that of the
// address at which it arrived, or the one whose name is the first label of its Host, or the
// default one.
func instanceOf(r *http.Request, w *world.World) *world.Instance {
	if name, ok := r.Context().Value(instanceKey{}).(string); ok {
		if instance, ok := w.Instance(name); ok {
			return instance
		}
	}
	if label, _, ok := strings.Cut(r.Host, "."); ok {
		if instance, ok := w.Instance(strings.ToLower(label)); ok {
			return instance
		}
	}
	return w.DefaultInstance()
}
